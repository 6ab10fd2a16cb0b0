#include "core/base/sha256.h"

#include <gtest/gtest.h>

namespace ft {
namespace {

// FIPS 180-4's examples.
TEST(Sha256, KnownDigests) {
  EXPECT_EQ(Hex(Sha256Of("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hex(Sha256Of("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, GoesOnFromASavedStateAtAnyPlace) {
  std::string text;
  for (int i = 0; i < 300; ++i) text.push_back(static_cast<char>(i * 7));
  for (size_t cut = 0; cut <= text.size(); cut += 13) {
    Sha256 first;
    first.Update(text.substr(0, cut));
    StatusOr<Sha256> second = Sha256::Restore(first.Save());
    ASSERT_TRUE(second.ok());
    second->Update(text.substr(cut));
    EXPECT_EQ(Hex(second->Finish()), Hex(Sha256Of(text))) << cut;
  }
}

TEST(Sha256, WhatIsNoSavedStateIsRefused) {
  EXPECT_FALSE(Sha256::Restore("").ok());
  EXPECT_FALSE(Sha256::Restore(Sha256().Save() + "x").ok());
  EXPECT_FALSE(Sha256::Restore(std::string(40, '\xff')).ok());
}

}  // namespace
}  // namespace ft
