// AES-GCM and AES-CCM by Intel's multi-buffer library, where the addon was built with it (binding.gyp). It is made for other
// makers' x86-64 as well.
//
// GCM: one call per packet, which fills the processor by itself. CCM: its authentication is one chain of AES per packet, so
// up to 16 packets go through side by side; the library hands a job back when it is done, in order, and the rest at a flush.
#include "aead.h"

#include <stdexcept>
#include <string>

#ifdef SLUICE_IPSEC_MB

#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

namespace sluice {

namespace {

struct FreeManager {
  void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};

// GCM: round keys and powers of the hash key. CCM: round keys, to encrypt only (CCM never decrypts a block).
class Keyed : public AeadContext {
 public:
  Keyed(int suite, const uint8_t* key, const uint8_t* salt, IMB_MGR* manager) : AeadContext(suite, salt) {
    if (!ccm) {
      aes256 ? IMB_AES256_GCM_PRE(manager, key, &gcm_) : IMB_AES128_GCM_PRE(manager, key, &gcm_);
      return;
    }
    alignas(16) uint8_t decrypting[15 * 16];
    aes256 ? IMB_AES_KEYEXP_256(manager, key, rounds_, decrypting) : IMB_AES_KEYEXP_128(manager, key, rounds_, decrypting);
    OPENSSL_cleanse(decrypting, sizeof decrypting);
  }
  ~Keyed() override {
    OPENSSL_cleanse(&gcm_, sizeof gcm_);
    OPENSSL_cleanse(rounds_, sizeof rounds_);
  }

  // Of many SAs, what GCM needs of the next one is in no cache: 5-10 % of its time.
  void Prefetch() const {
    if (ccm) return;
    const char* start = reinterpret_cast<const char*>(&gcm_);
    for (size_t at = 0; at < sizeof gcm_; at += 64) __builtin_prefetch(start + at);
  }

  alignas(64) gcm_key_data gcm_;
  alignas(64) uint8_t rounds_[15 * 16];
};

class IpsecMb : public AeadProvider {
 public:
  IpsecMb() : manager_(alloc_mb_mgr(0)) {
    if (!manager_) throw std::runtime_error("libipsec-mb made no manager");
    init_mb_mgr_auto(manager_.get(), nullptr);
    if (imb_get_errno(manager_.get()) != 0) {
      throw std::runtime_error(std::string("libipsec-mb: ") + imb_get_strerror(imb_get_errno(manager_.get())));
    }
  }

  std::unique_ptr<AeadContext> Make(int suite, const uint8_t* key, const uint8_t* salt) override {
    return std::make_unique<Keyed>(suite, key, salt, manager_.get());
  }

  void Seal(const AeadJob* jobs, int n) override {
    for (int i = 0; i < n; i++) {
      const AeadJob& job = jobs[i];
      if (i + 1 < n && jobs[i + 1].context != job.context) static_cast<const Keyed*>(jobs[i + 1].context)->Prefetch();
      if (job.context->ccm) {
        Submit(jobs, i, IMB_DIR_ENCRYPT, job.data + job.length);
      } else {
        Gcm(job, job.context->aes256 ? manager_->gcm256_enc : manager_->gcm128_enc, job.data + job.length);
      }
    }
    Flush();
  }

  void Open(const AeadJob* jobs, int n) override {
    for (int i = 0; i < n; i++) {
      const AeadJob& job = jobs[i];
      if (i + 1 < n && jobs[i + 1].context != job.context) static_cast<const Keyed*>(jobs[i + 1].context)->Prefetch();
      if (job.context->ccm) {
        Submit(jobs, i, IMB_DIR_DECRYPT, icv_[i]);
      } else {
        Gcm(job, job.context->aes256 ? manager_->gcm256_dec : manager_->gcm128_dec, icv_[i]);
        Verify(job, icv_[i]);
      }
    }
    Flush();
  }

 private:
  void Gcm(const AeadJob& job, aes_gcm_enc_dec_t cipher, uint8_t* icv) {
    const Keyed* context = static_cast<const Keyed*>(job.context);
    cipher(&context->gcm_, &state_, job.data, job.data, job.length, job.nonce, job.aad, job.aadLength, icv, context->icv);
  }

  static void Verify(const AeadJob& job, const uint8_t* icv) {
    job.Settle(CRYPTO_memcmp(icv, job.data + job.length, job.context->icv) == 0);
  }

  void Submit(const AeadJob* jobs, int i, IMB_CIPHER_DIRECTION direction, uint8_t* icv) {
    const AeadJob& job = jobs[i];
    const Keyed* context = static_cast<const Keyed*>(job.context);
    IMB_JOB* submitted = IMB_GET_NEXT_JOB(manager_.get());
    submitted->cipher_mode = IMB_CIPHER_CCM;
    submitted->hash_alg = IMB_AUTH_AES_CCM;
    submitted->cipher_direction = direction;
    submitted->chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
    submitted->enc_keys = submitted->dec_keys = context->rounds_;
    submitted->key_len_in_bytes = context->KeyBytes();
    submitted->iv = job.nonce;
    submitted->iv_len_in_bytes = 11;
    submitted->src = submitted->dst = job.data;
    submitted->cipher_start_src_offset_in_bytes = submitted->hash_start_src_offset_in_bytes = 0;
    submitted->msg_len_to_cipher_in_bytes = submitted->msg_len_to_hash_in_bytes = job.length;
    submitted->u.CCM.aad = job.aad;
    submitted->u.CCM.aad_len_in_bytes = job.aadLength;
    submitted->auth_tag_output = icv;
    submitted->auth_tag_output_len_in_bytes = context->icv;
    submitted->user_data = const_cast<AeadJob*>(&job);
    Done(IMB_SUBMIT_JOB_NOCHECK(manager_.get()));
  }

  void Flush() {
    while (IMB_JOB* job = IMB_FLUSH_JOB(manager_.get())) Done(job);
  }

  static void Done(const IMB_JOB* done) {
    if (done == nullptr) return;
    const AeadJob& job = *static_cast<const AeadJob*>(done->user_data);
    if (done->cipher_direction == IMB_DIR_DECRYPT) Verify(job, done->auth_tag_output);
  }

  std::unique_ptr<IMB_MGR, FreeManager> manager_;  // of one thread
  gcm_context_data state_;
  uint8_t icv_[kAeadBurst][16];
};

}  // namespace

std::unique_ptr<AeadProvider> NewIpsecMb() { return std::make_unique<IpsecMb>(); }

}  // namespace sluice

#else

namespace sluice {

std::unique_ptr<AeadProvider> NewIpsecMb() {
  throw std::runtime_error("the addon was built without libipsec-mb: install libipsec-mb-dev and run `npm run build`");
}

}  // namespace sluice

#endif
