{
  "targets": [
    {
      "target_name": "sluice",
      "sources": [
        "native/addon.cc",
        "native/memory.cc",
        "native/thread.cc",
        "native/af_packet.cc",
        "native/link.cc",
        "native/pcap.cc",
        "native/aead.cc",
        "native/aead_openssl.cc",
        "native/aead_ipsec_mb.cc"
      ],
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include\")"],
      # The last: a thread that is ended while it calls the addon takes no other with it.
      "defines": [
        "NAPI_VERSION=8",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        "NAPI_CPP_EXCEPTIONS",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "cflags": ["-O2", "-Wall", "-Wextra", "-Wno-unused-parameter"],
      "cflags!": ["-fno-exceptions"],
      "cflags_cc": ["-std=c++17", "-fexceptions"],
      "cflags_cc!": ["-fno-exceptions", "-std=gnu++20", "-std=gnu++17"],
      "variables": {
        "ipsec_mb": "<!(sh native/ipsec_mb_probe.sh)"
      },
      "libraries": ["-lpcap"],
      "conditions": [["ipsec_mb==1", { "defines": ["SLUICE_IPSEC_MB"], "libraries": ["-lIPSec_MB"] }]]
    }
  ]
}
