#include "core/plan/passes.h"

#include <gmock/gmock.h>

namespace ft::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int> Units(const std::vector<Visit>& visits) {
  std::vector<int> units;
  for (const Visit& visit : visits) units.push_back(visit.ends_unit ? -visit.unit : visit.unit);
  return units;
}

TEST(PassesTest, ATrainingPassGoesThereAndBack) {
  EXPECT_THAT(Units(TrainingPass({.blocks = 3, .head = 4})), ElementsAre(0, 1, 2, 3, -4, -3, -2, -1));
  EXPECT_THAT(Units(TrainingPass({.blocks = 2, .head = 0})), ElementsAre(0, 1, 2, 0, -2, -1));
  // What lies below the lowest that trains has no way back.
  EXPECT_THAT(Units(TrainingPass({.blocks = 3, .head = 4, .lowest_block = 3})),
              ElementsAre(0, 1, 2, 3, -4, -3));
  EXPECT_THAT(Units(TrainingPass({.blocks = 2, .head = 3, .lowest_block = 3})), ElementsAre(0, 1, 2, -3));
}

TEST(PassesTest, AForwardPassEndsAtTheHead) {
  EXPECT_THAT(Units(ForwardPass({.blocks = 2, .head = 3})), ElementsAre(0, 1, 2, 3, 3));
}

// Units that come, in order.
std::vector<int> Coming(UnitWindow& window, const std::vector<Visit>& visits) {
  std::vector<int> coming;
  for (const Visit& visit : visits) {
    if (window.Use(visit.unit).comes) coming.push_back(visit.unit);
  }
  return coming;
}

TEST(UnitWindowTest, LastBlockAndHeadStayForTheWayBackAndTheFirstBlockForTheNextPass) {
  UnitWindow window;
  const std::vector<Visit> pass = TrainingPass({.blocks = 3, .head = 4});
  EXPECT_THAT(Coming(window, pass), ElementsAre(0, 1, 2, 3, 4, 2, 1));
  EXPECT_THAT(Coming(window, pass), ElementsAre(0, 2, 3, 4, 2, 1));
  EXPECT_THAT(window.Clear(), ElementsAre(2, 1));
  EXPECT_THAT(window.Clear(), IsEmpty());
  EXPECT_THAT(Coming(window, pass), ElementsAre(0, 1, 2, 3, 4, 2, 1));
}

TEST(UnitWindowTest, TheOneUsedLongestAgoGoes) {
  UnitWindow window;
  window.Use(5);
  EXPECT_EQ(window.Use(6).goes, -1);
  window.Use(5);
  EXPECT_EQ(window.Use(7).goes, 6);
}

}  // namespace
}  // namespace ft::plan
