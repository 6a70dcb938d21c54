// AES-GCM and AES-CCM by the OpenSSL inside the node binary: its headers come with Node's, its symbols from the executable
// that loads the addon.
//
// A context keeps its EVP contexts, so that a packet pays for its IV alone. The calls are the cheapest that do (AES-256-GCM,
// 64 bytes, OpenSSL 3.0, in one run): EVP_*Init_ex, Update, Final and ctrl take 201 ns to seal and 179 to open; EVP_Cipher,
// which goes straight to the provider's function, and ready-made OSSL_PARAMs 176 and 171; with the IV as a parameter instead
// of EVP_*Init_ex, which asks the provider for the length of the IV each time, 154 and 124.
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <stdexcept>
#include <string>

#include "aead.h"

namespace sluice {

namespace {

struct FreeCipher {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
};
// EVP_CIPHER_CTX_free cleanses what it held.
struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER, FreeCipher>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

OSSL_PARAM Octets(const char* name, const void* bytes, size_t length) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<void*>(bytes), length);
}

// All 12 bytes of GCM's IV, "fixed" or not: this length is how OpenSSL itself gives back a whole IV (EVP_EncryptInit(3),
// EVP_CTRL_AEAD_SET_IV_FIXED with -1). The known answers of each start would see it change.
const size_t kWholeIv = SIZE_MAX;

class Keyed : public AeadContext {
 public:
  Keyed(int suite, const uint8_t* key, const uint8_t* salt, const EVP_CIPHER* cipher)
      : AeadContext(suite, salt), cipher_(cipher) {
    memcpy(key_, key, KeyBytes());
  }
  ~Keyed() override { OPENSSL_cleanse(key_, sizeof key_); }

  bool Seal(const AeadJob& job) {
    if (!seal_) Init(seal_, 1);
    EVP_CIPHER_CTX* context = seal_.get();
    OSSL_PARAM tag[] = {Octets(OSSL_CIPHER_PARAM_AEAD_TAG, job.data + job.length, icv), OSSL_PARAM_construct_end()};
    if (ccm) {
      return EVP_EncryptInit_ex2(context, nullptr, nullptr, job.nonce, nullptr) && Ccm(context, job) &&
             EVP_CIPHER_CTX_get_params(context, tag);
    }
    OSSL_PARAM iv[] = {Octets(OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED, job.nonce, kWholeIv), OSSL_PARAM_construct_end()};
    return EVP_CIPHER_CTX_set_params(context, iv) && Gcm(context, job) && EVP_CIPHER_CTX_get_params(context, tag);
  }

  bool Open(const AeadJob& job) {
    if (!open_) Init(open_, 0);
    EVP_CIPHER_CTX* context = open_.get();
    OSSL_PARAM params[] = {Octets(OSSL_CIPHER_PARAM_AEAD_TAG, job.data + job.length, icv),
                           ccm ? OSSL_PARAM_construct_end() : Octets(OSSL_CIPHER_PARAM_AEAD_TLS1_IV_FIXED, job.nonce, kWholeIv),
                           OSSL_PARAM_construct_end()};
    if (ccm) return EVP_DecryptInit_ex2(context, nullptr, nullptr, job.nonce, params) && Ccm(context, job);
    return EVP_CIPHER_CTX_set_params(context, params) && Gcm(context, job);
  }

 private:
  // Both directions share the key, and an SA is used in one of them.
  void Init(CipherContext& made, int seal) {
    CipherContext context(EVP_CIPHER_CTX_new());
    size_t ivLength = ccm ? 11 : 12;
    const uint8_t zeros[12] = {};
    // CCM builds its first block of the lengths of nonce and tag: both before the key.
    OSSL_PARAM lengths[] = {OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_AEAD_IVLEN, &ivLength),
                            ccm ? Octets(OSSL_CIPHER_PARAM_AEAD_TAG, nullptr, icv) : OSSL_PARAM_construct_end(),
                            OSSL_PARAM_construct_end()};
    if (!context || !EVP_CipherInit_ex2(context.get(), cipher_, nullptr, nullptr, seal, lengths) ||
        !EVP_CipherInit_ex2(context.get(), nullptr, key_, zeros, seal, nullptr)) {
      throw std::runtime_error("OpenSSL made no cipher context");
    }
    made = std::move(context);
  }

  static bool Gcm(EVP_CIPHER_CTX* context, const AeadJob& job) {
    return EVP_Cipher(context, nullptr, job.aad, job.aadLength) >= 0 &&
           EVP_Cipher(context, job.data, job.data, job.length) >= 0 && EVP_Cipher(context, nullptr, nullptr, 0) >= 0;
  }

  // The length of the data first: it is in the block that is authenticated before all others.
  static bool Ccm(EVP_CIPHER_CTX* context, const AeadJob& job) {
    return EVP_Cipher(context, nullptr, nullptr, job.length) >= 0 &&
           EVP_Cipher(context, nullptr, job.aad, job.aadLength) >= 0 && EVP_Cipher(context, job.data, job.data, job.length) >= 0;
  }

  const EVP_CIPHER* const cipher_;  // of the provider, which lives longer
  uint8_t key_[32] = {};
  CipherContext seal_, open_;
};

class Openssl : public AeadProvider {
 public:
  Openssl() {
    const char* names[] = {"AES-128-GCM", "AES-256-GCM", "AES-128-CCM", "AES-256-CCM"};  // by the low bits of a suite
    for (int i = 0; i < 4; i++) {
      ciphers_[i].reset(EVP_CIPHER_fetch(nullptr, names[i], nullptr));
      if (!ciphers_[i]) throw std::runtime_error(std::string("the OpenSSL of this node has no ") + names[i]);
    }
  }

  std::unique_ptr<AeadContext> Make(int suite, const uint8_t* key, const uint8_t* salt) override {
    return std::make_unique<Keyed>(suite, key, salt, ciphers_[suite & (kAes256 | kCcm)].get());
  }

  void Seal(const AeadJob* jobs, int n) override {
    for (int i = 0; i < n; i++) {
      if (!static_cast<Keyed*>(jobs[i].context)->Seal(jobs[i])) throw std::runtime_error("OpenSSL did not encrypt");
    }
  }

  void Open(const AeadJob* jobs, int n) override {
    for (int i = 0; i < n; i++) jobs[i].Settle(static_cast<Keyed*>(jobs[i].context)->Open(jobs[i]));
  }

 private:
  Cipher ciphers_[4];
};

}  // namespace

std::unique_ptr<AeadProvider> NewOpenssl() { return std::make_unique<Openssl>(); }

}  // namespace sluice
