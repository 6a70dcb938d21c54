#include "addon.h"

namespace sluice {

void RegisterPcap(Napi::Env env, Napi::Object exports) {}

}  // namespace sluice
