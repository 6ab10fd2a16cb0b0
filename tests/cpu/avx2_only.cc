// A library to be preloaded (LD_PRELOAD): its process is told of a CPU that has AVX2 and nothing later, so that this project and its
// peers take the code that they take there. `make bench CPU=avx2`, and `golden` and `unit` likewise.
//
// A process may ask its kernel to fault where it executes CPUID (arch_prctl(2), ARCH_SET_CPUID); the fault is answered here with what
// the CPU says, less what came after AVX2. Threads inherit it; a program that is executed begins anew, and has the variable too. The
// dynamic linker asked before: memcpy of glibc still takes the widest vectors. Where this cannot be had the process ends with
// kCannotHide, so that nothing is measured as what it is not.
#include <asm/prctl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace {

constexpr int kCannotHide = 71;  // EX_OSERR of sysexits.h.

struct Registers {
  uint32_t a, b, c, d;
};

constexpr uint32_t Bits(std::initializer_list<int> bits) {
  uint32_t all = 0;
  for (const int bit : bits) all |= 1u << bit;
  return all;
}

// Of leaf 7 (Intel's manual, volume 2, CPUID): AVX-512 F, DQ, IFMA, PF, ER, CD, BW, VL; VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ; 4VNNIW,
// 4FMAPS, VP2INTERSECT, AMX-BF16, FP16, AMX-TILE, AMX-INT8.
constexpr Registers kLeaf7{.a = 0,
                           .b = Bits({16, 17, 21, 26, 27, 28, 30, 31}),
                           .c = Bits({1, 6, 11, 12, 14}),
                           .d = Bits({2, 3, 8, 22, 23, 24, 25})};
// Of its second part: AVX-VNNI, AVX512-BF16, AMX-FP16, AVX-IFMA; AVX-VNNI-INT8, AVX-NE-CONVERT, AVX-VNNI-INT16, AVX10.
constexpr Registers kLeaf7Part1{.a = Bits({4, 5, 21, 23}), .b = 0, .c = 0, .d = Bits({4, 5, 10, 19})};

// Whether CPUID is executed or faults. A system call without errno, which belongs to the code that was interrupted.
long LetCpuid(unsigned long executed) {
  long result = 0;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(SYS_arch_prctl), "D"(static_cast<long>(ARCH_SET_CPUID)), "S"(executed)
                   : "rcx", "r11", "memory");
  return result;
}

void Hide(Registers& told, const Registers& later) {
  told.a &= ~later.a;
  told.b &= ~later.b;
  told.c &= ~later.c;
  told.d &= ~later.d;
}

Registers Told(uint32_t leaf, uint32_t part) {
  Registers told{.a = leaf, .b = 0, .c = part, .d = 0};
  LetCpuid(1);
  __asm__ volatile("cpuid" : "+a"(told.a), "=b"(told.b), "+c"(told.c), "=d"(told.d));
  LetCpuid(0);
  if (leaf == 7 && part == 0) Hide(told, kLeaf7);
  if (leaf == 7 && part == 1) Hide(told, kLeaf7Part1);
  return told;
}

// Answers CPUID; any other fault happens once more, and ends the process as it would have.
void OnFault(int signal, siginfo_t* info, void* context) {
  static constexpr uint8_t kCpuid[] = {0x0f, 0xa2};
  greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const void* const code = reinterpret_cast<const void*>(registers[REG_RIP]);
  if (info->si_code != SI_KERNEL || std::memcmp(code, kCpuid, sizeof(kCpuid)) != 0) {
    ::signal(signal, SIG_DFL);
    return;
  }
  const Registers told =
      Told(static_cast<uint32_t>(registers[REG_RAX]), static_cast<uint32_t>(registers[REG_RCX]));
  registers[REG_RAX] = told.a;
  registers[REG_RBX] = told.b;
  registers[REG_RCX] = told.c;
  registers[REG_RDX] = told.d;
  registers[REG_RIP] += sizeof(kCpuid);
}

// Linked to run before every other library's (-z initfirst), some of which ask there.
[[gnu::constructor]] void Begin() {
  struct sigaction action {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  if (sigaction(SIGSEGV, &action, nullptr) == 0 && LetCpuid(0) == 0) return;
  static constexpr char kWhy[] =
      "libft_avx2_only.so: this CPU or its kernel does not let a program be told of another CPU; leave out "
      "CPU=avx2\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kWhy, sizeof(kWhy) - 1);
  _exit(kCannotHide);
}

}  // namespace
