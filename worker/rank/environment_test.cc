#include <gtest/gtest.h>
#include <jemalloc/jemalloc.h>

#include <cstdint>
#include <memory>
#include <string>

namespace ft::rank {
namespace {

template <typename T>
T Ask(const std::string& name) {
  T value{};
  size_t size = sizeof(value);
  EXPECT_EQ(mallctl(name.c_str(), &value, &size, nullptr, 0), 0) << name;
  EXPECT_EQ(size, sizeof(value)) << name;
  return value;
}

// Bytes in use, as the allocator counts them.
size_t Allocated() {
  uint64_t epoch = 1;
  size_t size = sizeof(epoch);
  EXPECT_EQ(mallctl("epoch", &epoch, &size, &epoch, size), 0);
  return Ask<size_t>("stats.allocated");
}

TEST(AllocatorTest, ServesTheProgramWithTheSettingsOfTheRank) {
  ASSERT_NE(malloc_conf, nullptr);
  const size_t before = Allocated();
  const auto buffer = std::make_unique<char[]>(size_t{32} << 20);
  EXPECT_GE(Allocated(), before + (size_t{32} << 20));
  EXPECT_EQ(Ask<unsigned>("opt.narenas"), 1u);
  EXPECT_EQ(Ask<size_t>("opt.oversize_threshold"), 0u);
  EXPECT_EQ(Ask<ssize_t>("opt.dirty_decay_ms"), 10000);
}

}  // namespace
}  // namespace ft::rank
