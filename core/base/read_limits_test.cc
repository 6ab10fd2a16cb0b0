#include "core/base/read_limits.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <atomic>
#include <functional>
#include <thread>

#include "tests/support/temp_dir.h"

namespace ft {
namespace {

namespace fs = std::filesystem;

// A root with a file, and a secret beside it.
class OrdinaryReadLimits : public ::testing::Test {
 protected:
  OrdinaryReadLimits() {
    EXPECT_TRUE(MakeDirectories(dir_ / "root/sub").ok());
    EXPECT_TRUE(WriteFileDurably(dir_ / "root/sub/file", "inside").ok());
    EXPECT_TRUE(WriteFileDurably(dir_ / "secret", "outside").ok());
    fs::create_symlink(dir_ / "secret", dir_ / "root/link");
    fs::create_symlink(dir_ / "root/sub/file", dir_ / "root/inner");  // Absolute, but it stays inside.
  }

  // Runs `check` in a process of its own that may read below root only, and expects it to say nothing.
  void ExpectLimited(const std::function<std::string()>& check) {
    EXPECT_EXIT(
        {
          const Status limited = LimitReading({dir_ / "root", dir_ / "missing"});
          const std::string wrong = limited.ok() ? check() : std::string(Message(limited));
          std::fputs(wrong.c_str(), stderr);
          std::_Exit(wrong.empty() ? 0 : 1);
        },
        ::testing::ExitedWithCode(0), "");
  }

  std::string Read(const fs::path& path) const {
    const StatusOr<std::string> text = ReadFile(path);
    if (text.ok()) return *text;
    const std::string message(Message(text.status()));
    if (message.find("outside the folders") != std::string::npos) return "DENIED";
    return absl::IsNotFound(text.status()) ? "NOT FOUND" : message;
  }

  testing::TempDir dir_;
};

TEST_F(OrdinaryReadLimits, OnlyWhatLiesBelowTheFoldersIsOpened) {
  ExpectLimited([this] {
    const std::vector<std::pair<fs::path, std::string>> expected = {
        {dir_ / "root/sub/file", "inside"},
        {dir_ / "root/inner", "inside"},
        {dir_ / "root/sub/../sub/file", "inside"},
        {dir_ / "root/nothing", "NOT FOUND"},
        {dir_ / "root/link", "DENIED"},
        {dir_ / "root/../secret", "DENIED"},
        {dir_ / "secret", "DENIED"},
        {dir_ / "not there either", "DENIED"},
        {dir_ / "rootless", "DENIED"},
        {"/proc/self/environ", "DENIED"},
    };
    std::string wrong;
    for (const auto& [path, text] : expected) {
      if (const std::string read = Read(path); read != text)
        StrAppend(&wrong, path.string(), ": ", read, "\n");
    }
    if (MappedFile::Open(dir_ / "root/link").ok()) StrAppend(&wrong, "mapped");
    if (!MappedFile::Open(dir_ / "root/inner").ok()) StrAppend(&wrong, "not mapped");
    return wrong;
  });
}

TEST_F(OrdinaryReadLimits, ALinkPutThereBetweenCheckAndOpenOpensNothing) {
  ExpectLimited([this] {
    const fs::path name = dir_ / "root/changing", file = dir_ / "root/plain", link = dir_ / "root/bad";
    if (!WriteFileDurably(file, "inside").ok()) return std::string("no file");
    fs::create_symlink(dir_ / "secret", link);
    std::atomic<bool> stop = false;
    std::thread exchanging([&] {
      while (!stop) {
        for (const fs::path& next : {file, link}) {
          fs::remove(dir_ / "root/next");
          next == link ? fs::copy_symlink(next, dir_ / "root/next")
                       : fs::create_hard_link(next, dir_ / "root/next");
          fs::rename(dir_ / "root/next", name);
        }
      }
    });
    std::string wrong;
    for (int i = 0; i < 20000 && wrong.empty(); ++i) {
      if (Read(name) == "outside") wrong = "the secret was read";
    }
    stop = true;
    exchanging.join();
    return wrong;
  });
}

// From now on this process's openat2 answers as an old kernel's does.
bool ForgetOpenat2() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter = {.len = std::size(program), .filter = program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST_F(OrdinaryReadLimits, AKernelWithoutOpenat2IsNamed) {
  EXPECT_EXIT(
      {
        const bool forgotten = ForgetOpenat2();
        const Status limited = LimitReading({dir_ / "root"});
        std::fputs(std::string(Message(limited)).c_str(), stderr);
        std::_Exit(forgotten && absl::IsUnimplemented(limited) ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "roots need a kernel with openat2");
}

}  // namespace
}  // namespace ft
