// Aead: authenticated encryption over ranges of frame memory, a burst per call, by one of the providers (native/aead.h).
//
// Nothing of 64 jobs is done when one of them lies outside the frame memory or names a context that is not there: that is a
// mistake of the caller, and throws. Contexts are wiped by wipe(), close(), and the destructor at the thread's end.
#include "aead.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "addon.h"

namespace sluice {

// Word of a job in the Int32Array: enum Job of src/aead/aead.ts.
enum { kContext, kIv, kAad, kAadLength, kData, kLength, kStatus, kJobWords = 8 };

// AAD_MAX and CONTEXTS of src/aead/aead.ts.
static const uint32_t kAadMax = 46;
static const uint32_t kContexts = 1 << 20;

AeadContext::AeadContext(int suite, const uint8_t* salt)
    : aes256((suite & kAes256) != 0), ccm((suite & kCcm) != 0), icv(8 + 4 * (suite >> kIcvShift)) {
  memcpy(this->salt, salt, ccm ? 3 : 4);
}

AeadContext::~AeadContext() { OPENSSL_cleanse(salt, sizeof salt); }

class Aead : public Napi::ObjectWrap<Aead> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Aead",
                       {InstanceAccessor<&Aead::Name>("name"), InstanceMethod<&Aead::Set>("set"),
                        InstanceMethod<&Aead::Wipe>("wipe"), InstanceMethod<&Aead::Seal>("seal"),
                        InstanceMethod<&Aead::Open>("open"), InstanceMethod<&Aead::Close>("close")});
  }

  // new Aead(provider: "openssl" | "ipsec-mb", frames: Uint8Array)
  explicit Aead(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Aead>(info) {
    name_ = info[0].As<Napi::String>().Utf8Value();
    Napi::Uint8Array frames = info[1].As<Napi::Uint8Array>();
    frames_ = frames.Data();
    bytes_ = frames.ByteLength();
    keep_ = Napi::Persistent(frames.As<Napi::Object>());
    try {
      provider_ = name_ == "ipsec-mb" ? NewIpsecMb() : NewOpenssl();
    } catch (const std::runtime_error& error) {
      throw Napi::Error::New(info.Env(), error.what());
    }
  }

 private:
  Napi::Value Name(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), name_); }

  // set(context: number, suite: number, key: Uint8Array, salt: Uint8Array): void
  void Set(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    uint32_t context = info[0].As<Napi::Number>().Uint32Value();
    uint32_t suite = info[1].As<Napi::Number>().Uint32Value();
    Napi::Uint8Array key = info[2].As<Napi::Uint8Array>();
    Napi::Uint8Array salt = info[3].As<Napi::Uint8Array>();
    if (context >= kContexts || suite >= kSuites || key.ByteLength() != ((suite & kAes256) != 0 ? 32 : 16) ||
        salt.ByteLength() != ((suite & kCcm) != 0 ? 3 : 4)) {
      throw Napi::RangeError::New(env, "Aead.set: context, suite, or a length is out of range");
    }
    if (context >= contexts_.size()) contexts_.resize(context + 1);
    try {
      contexts_[context] = provider_->Make(suite, key.Data(), salt.Data());
    } catch (const std::runtime_error& error) {
      throw Napi::Error::New(env, error.what());
    }
  }

  // wipe(context: number): void
  void Wipe(const Napi::CallbackInfo& info) {
    uint32_t context = info[0].As<Napi::Number>().Uint32Value();
    if (context < contexts_.size()) contexts_[context].reset();
  }

  void Close(const Napi::CallbackInfo& info) { contexts_.clear(); }

  // seal(jobs: Int32Array, n: number): void
  void Seal(const Napi::CallbackInfo& info) {
    Each(info, [this](const AeadJob* jobs, int n) { provider_->Seal(jobs, n); });
  }

  // open(jobs: Int32Array, n: number): void
  void Open(const Napi::CallbackInfo& info) {
    Each(info, [this](const AeadJob* jobs, int n) { provider_->Open(jobs, n); });
  }

  template <typename Work>
  void Each(const Napi::CallbackInfo& info, Work work) {
    Napi::Env env = info.Env();
    // One call into Node for all that is asked of the array: a burst may be one job.
    napi_typedarray_type type;
    size_t length;
    void* data;
    if (napi_get_typedarray_info(env, info[0], &type, &length, &data, nullptr, nullptr) != napi_ok ||
        type != napi_int32_array) {
      throw Napi::TypeError::New(env, "Aead: jobs is no Int32Array");
    }
    int32_t* words = static_cast<int32_t*>(data);
    uint32_t n = info[1].As<Napi::Number>().Uint32Value();
    if (n > length / kJobWords) throw Napi::RangeError::New(env, "Aead: more jobs than the array has");
    AeadJob jobs[kAeadBurst];
    for (uint32_t done = 0; done < n; done += kAeadBurst) {
      int count = std::min<uint32_t>(n - done, kAeadBurst);
      for (int i = 0; i < count; i++) Resolve(env, words + (done + i) * kJobWords, &jobs[i]);
      try {
        work(jobs, count);
      } catch (const std::runtime_error& error) {
        throw Napi::Error::New(env, error.what());
      }
    }
  }

  void Resolve(Napi::Env env, int32_t* words, AeadJob* job) {
    uint32_t context = words[kContext];
    AeadContext* found = context < contexts_.size() ? contexts_[context].get() : nullptr;
    if (found == nullptr) throw Napi::RangeError::New(env, "Aead: a job names a context that is not there");
    uint32_t iv = words[kIv], aad = words[kAad], aadLength = words[kAadLength], data = words[kData], length = words[kLength];
    if (!Within(iv, 8) || aadLength > kAadMax || !Within(aad, aadLength) || length > INT32_MAX ||
        !Within(data, length + found->icv)) {
      throw Napi::RangeError::New(env, "Aead: a job lies outside the frame memory");
    }
    job->context = found;
    // RFC 4106 section 4: 4 bytes of salt, RFC 4309 section 4: 3; the 8 bytes of the packet follow.
    memcpy(job->nonce, found->salt, sizeof found->salt);
    memcpy(job->nonce + (found->ccm ? 3 : 4), frames_ + iv, 8);
    job->aad = frames_ + aad;
    job->aadLength = aadLength;
    job->data = frames_ + data;
    job->length = length;
    job->status = words + kStatus;
  }

  bool Within(uint32_t start, uint32_t length) const { return start <= bytes_ && length <= bytes_ - start; }

  std::string name_;
  std::unique_ptr<AeadProvider> provider_;
  std::vector<std::unique_ptr<AeadContext>> contexts_;  // destroyed before the provider
  uint8_t* frames_ = nullptr;
  size_t bytes_ = 0;
  Napi::ObjectReference keep_;
};

void RegisterAead(Napi::Env env, Napi::Object exports) { exports.Set("Aead", Aead::Define(env)); }

}  // namespace sluice
