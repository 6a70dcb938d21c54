// Page-aligned memory for frames, and huge pages for tables.
#include <sys/mman.h>
#include <unistd.h>

#include "addon.h"

namespace sluice {

// frames(bytes: number): ArrayBuffer — zeroed, page aligned, of this thread alone; unmapped when it is collected.
static Napi::Value MapFrames(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  size_t bytes = static_cast<size_t>(info[0].As<Napi::Number>().Int64Value());
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (base == MAP_FAILED) throw SystemError(env, "mmap", errno);
  return Napi::ArrayBuffer::New(env, base, bytes, [bytes](Napi::Env, void* data) { munmap(data, bytes); });
}

// adviseHuge(view: TypedArray): boolean — asks for transparent huge pages under the whole pages of a typed array, which
// may stand on a SharedArrayBuffer: a table of millions of entries is otherwise bound by TLB misses. False where the
// kernel has none.
static Napi::Value AdviseHuge(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, info[0], &type, &length, &data, nullptr, nullptr) != napi_ok) {
    throw Napi::TypeError::New(env, "adviseHuge takes a Uint8Array");
  }
  uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  uintptr_t start = (reinterpret_cast<uintptr_t>(data) + page - 1) & ~(page - 1);
  uintptr_t end = (reinterpret_cast<uintptr_t>(data) + length) & ~(page - 1);
  bool done = start < end && madvise(reinterpret_cast<void*>(start), end - start, MADV_HUGEPAGE) == 0;
  return Napi::Boolean::New(env, done);
}

void RegisterMemory(Napi::Env env, Napi::Object exports) {
  exports.Set("frames", Napi::Function::New(env, MapFrames, "frames"));
  exports.Set("adviseHuge", Napi::Function::New(env, AdviseHuge, "adviseHuge"));
}

}  // namespace sluice
