#include "addon.h"

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  sluice::RegisterMemory(env, exports);
  sluice::RegisterThread(env, exports);
  sluice::RegisterAfPacket(env, exports);
  sluice::RegisterLink(env, exports);
  sluice::RegisterPcap(env, exports);
  sluice::RegisterAead(env, exports);
  return exports;
}

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
