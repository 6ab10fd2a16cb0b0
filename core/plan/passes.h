// The order in which a pass visits units, and which of them have to be brought together anew where ranks divide the weights: what the
// runner does, and what a step's bytes follow from. The same on all ranks.
#pragma once

#include <cstddef>
#include <vector>

namespace ft::plan {

// What a pass goes through: unit 0 is the embedding, units 1 to `blocks` are the blocks.
struct PassShape {
  int blocks = 0;
  int head = 0;          // The head's unit: blocks + 1, or 0 where head and embedding are one.
  int lowest_block = 1;  // The unit of the last block on the way back; above `blocks` where none trains.
};

struct Visit {
  int unit = 0;
  bool ends_unit = false;  // The pass has no gradient of this unit afterwards.
};

// Forward and backward. The embedding's gradients, which come last, read no weight.
std::vector<Visit> TrainingPass(const PassShape& shape);
// Forward alone; the head is visited by the norm before it, and by itself.
std::vector<Visit> ForwardPass(const PassShape& shape);

// Which units a rank keeps whole: the one in use and the one before it, so that the last block and the head stay for the way back.
class UnitWindow {
 public:
  static constexpr size_t kUnits = 2;
  struct Change {
    bool comes = false;  // The unit is to be brought together.
    int goes = -1;       // Another unit that makes room for it first.
  };

  Change Use(int unit);
  // Units are kept no more. In the order in which they were used.
  std::vector<int> Clear();

 private:
  std::vector<int> kept_;  // The one used last is the last.
};

}  // namespace ft::plan
