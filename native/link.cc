#include "addon.h"

namespace sluice {

void RegisterLink(Napi::Env env, Napi::Object exports) {}

}  // namespace sluice
