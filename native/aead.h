// What the AEAD providers share (native/aead_openssl.cc, native/aead_ipsec_mb.cc): they take jobs whose ranges were checked,
// and know nothing of JavaScript. src/aead/aead.ts says what a suite and a job are.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

namespace sluice {

enum SuiteBits { kAes256 = 1, kCcm = 2, kIcvShift = 2, kSuites = 12 };

// Jobs that a provider is given at once.
static const int kAeadBurst = 64;

// A key in the form that its provider works with; the destructor wipes it.
struct AeadContext {
  AeadContext(int suite, const uint8_t* salt);
  virtual ~AeadContext();
  AeadContext(const AeadContext&) = delete;

  size_t KeyBytes() const { return aes256 ? 32 : 16; }

  const bool aes256;
  const bool ccm;
  const uint32_t icv;
  uint8_t salt[4] = {};  // CCM: 3 of them
};

struct AeadJob {
  AeadContext* context;
  // Made for all jobs before the first is done: a cipher that loads whole what has just been stored in two parts waits for it.
  uint8_t nonce[12];
  const uint8_t* aad;
  uint32_t aadLength;
  uint8_t* data;  // the ICV behind it
  uint32_t length;
  int32_t* status;

  // The ICV is wrong: nothing that was not authentic is left to be read.
  void Settle(bool authentic) const {
    *status = authentic ? 0 : 1;
    if (!authentic) memset(data, 0, length);
  }
};

class AeadProvider {
 public:
  virtual ~AeadProvider() = default;
  virtual std::unique_ptr<AeadContext> Make(int suite, const uint8_t* key, const uint8_t* salt) = 0;
  // At most kAeadBurst jobs. std::runtime_error when the library fails: nothing of the burst may be sent then.
  virtual void Seal(const AeadJob* jobs, int n) = 0;
  virtual void Open(const AeadJob* jobs, int n) = 0;
};

// std::runtime_error says why there is none.
std::unique_ptr<AeadProvider> NewOpenssl();
std::unique_ptr<AeadProvider> NewIpsecMb();

}  // namespace sluice
