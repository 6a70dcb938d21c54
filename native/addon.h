// The addon is system calls and ciphers and nothing else: it knows no packet header and no policy. It is context-aware: each thread
// that loads it gets an instance of its own, and what the instance opened is closed when its thread ends, however it ends
// (destructors of ObjectWrap run at environment teardown). No mutable statics.
#pragma once

#include <napi.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>

namespace sluice {

void RegisterMemory(Napi::Env env, Napi::Object exports);
void RegisterThread(Napi::Env env, Napi::Object exports);
void RegisterAfPacket(Napi::Env env, Napi::Object exports);
void RegisterLink(Napi::Env env, Napi::Object exports);
void RegisterPcap(Napi::Env env, Napi::Object exports);
void RegisterAead(Napi::Env env, Napi::Object exports);

// An Error with `code` ("EPERM"), `errno` and `syscall`, as Node's own file system errors have them.
inline Napi::Error SystemError(Napi::Env env, const char* syscall, int error) {
  Napi::Error made = Napi::Error::New(env, std::string(syscall) + ": " + std::generic_category().message(error));
  made.Set("errno", Napi::Number::New(env, error));
  made.Set("syscall", Napi::String::New(env, syscall));
  made.Set("code", Napi::String::New(env, strerrorname_np(error) ? strerrorname_np(error) : "EUNKNOWN"));
  return made;
}

}  // namespace sluice
