#include "addon.h"

namespace sluice {

void RegisterAfPacket(Napi::Env env, Napi::Object exports) {}

}  // namespace sluice
