#include "worker/node/supervisor/supervisor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include "tests/support/temp_dir.h"

namespace ft::supervisor {
namespace {

TEST(SupervisorTest, SecondSupervisorOnOneFolderIsRefused) {
  testing::TempDir dir;
  const UniqueFd first(::open((dir / "worker.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::flock(first.get(), LOCK_EX | LOCK_NB), 0);
  const Status second = Supervisor({dir.path(), {"/bin/true"}}).Run();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(Message(second).find(dir.path().string()), std::string_view::npos) << second;
  EXPECT_NE(Message(second).find("another worker"), std::string_view::npos) << second;
}

}  // namespace
}  // namespace ft::supervisor
