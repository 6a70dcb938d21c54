// What Node has no call for: the processor a thread runs on, its name, and its own processor time.
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "addon.h"

namespace sluice {

// pin(cpu: number): void — this thread runs on that processor from now on.
static void Pin(const Napi::CallbackInfo& info) {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cpu = info[0].As<Napi::Number>().Int32Value();
  if (cpu < 0 || cpu >= CPU_SETSIZE) throw SystemError(info.Env(), "sched_setaffinity", EINVAL);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) throw SystemError(info.Env(), "sched_setaffinity", errno);
}

// name(text: string): void — as top and perf show this thread; cut to 15 bytes.
static void Name(const Napi::CallbackInfo& info) {
  std::string text = info[0].As<Napi::String>().Utf8Value().substr(0, 15);
  pthread_setname_np(pthread_self(), text.c_str());
}

// cpuTime(): number — nanoseconds of processor time, user and system, that this thread has used.
static Napi::Value CpuTime(const Napi::CallbackInfo& info) {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return Napi::Number::New(info.Env(), static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec));
}

void RegisterThread(Napi::Env env, Napi::Object exports) {
  exports.Set("pin", Napi::Function::New(env, Pin, "pin"));
  exports.Set("name", Napi::Function::New(env, Name, "name"));
  exports.Set("cpuTime", Napi::Function::New(env, CpuTime, "cpuTime"));
}

}  // namespace sluice
