# Says 1 when libipsec-mb (1.3 or later, from which the jobs are as native/aead_ipsec_mb.cc uses them) can be built with, else 0.
printf '#include <intel-ipsec-mb.h>\n#if IMB_VERSION_NUM < 0x10300\n#error\n#endif\nint main() { return alloc_mb_mgr(0) == 0; }\n' |
  ${CXX:-c++} -x c++ - -o /dev/null -lIPSec_MB 2>/dev/null && echo 1 || echo 0
