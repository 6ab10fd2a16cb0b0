#include "server/state/cow_map.h"

#include <gtest/gtest.h>

#include <random>

namespace ft::state {
namespace {

using Map = CowMap<int>;

std::map<std::string, int> Reference(const Map& map) {
  std::map<std::string, int> all;
  int index = 0;
  map.ForEach([&](const Map::Ptr& value) { all[std::to_string(index++)] = *value; });
  return all;
}

// Random changes beside a plain map; copies taken now and then must stay as they were.
TEST(CowMap, IsAMapAndItsCopiesDoNotChange) {
  std::mt19937 random(3);
  Map map;
  std::map<std::string, int> plain;
  struct Copy {
    Map map;
    std::map<std::string, int> plain;
  };
  std::vector<Copy> copies;
  for (int i = 0; i < 20'000; ++i) {
    const std::string key = "j" + std::to_string(random() % 3000) + (random() % 4 == 0 ? "/000001" : "");
    if (random() % 4 == 0) {
      map.Erase(key);
      plain.erase(key);
    } else {
      map.Set(key, std::make_shared<int>(i));
      plain[key] = i;
    }
    if (i % 2000 == 0) copies.push_back({map, plain});
  }
  copies.push_back({map, plain});
  for (const Copy& copy : copies) {
    EXPECT_EQ(copy.map.size(), copy.plain.size());
    EXPECT_EQ(Reference(copy.map).size(), copy.plain.size());
    for (const auto& [key, value] : copy.plain) {
      const auto found = copy.map.Find(key);
      ASSERT_NE(found, nullptr) << key;
      EXPECT_EQ(*found, value);
    }
  }
}

TEST(CowMap, KeysOfOneJobLieTogetherAndInOrder) {
  Map map;
  for (int i = 0; i < 500; ++i) map.Set("other" + std::to_string(i), std::make_shared<int>(-1));
  for (int i = 199; i >= 100; --i) map.Set("job/" + std::to_string(i), std::make_shared<int>(i));
  const auto under = map.Under("job");
  ASSERT_EQ(under.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(*under[static_cast<size_t>(i)], 100 + i);
  EXPECT_TRUE(map.Under("jo").empty());
  EXPECT_EQ(map.Find("job/1000"), nullptr);
}

}  // namespace
}  // namespace ft::state
