// For tests of kernels whose definition rounds a product and a sum once.
#pragma once

namespace ft::kernels {

// Whether SIMD kernels fuse multiply-adds on this CPU: elsewhere they are near their definition, not bit-equal to it.
inline bool FusesMultiplyAdds() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

}  // namespace ft::kernels
