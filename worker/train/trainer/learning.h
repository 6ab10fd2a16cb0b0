// Whether a run has learnt anything, judged by its training losses. A run that diverged ends like any other:
// somebody has to say so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ft::train {

// One thread.
class Learning {
 public:
  // The losses of all steps, in order.
  void Add(double loss) { losses_.push_back(loss); }

  // A sentence for people when the last losses are not below the first, or above what guessing among
  // `vocabulary` tokens blindly costs; empty when the run has learnt, or is too short to tell.
  std::string Verdict(int64_t vocabulary, double learning_rate) const;

 private:
  std::vector<double> losses_;
};

}  // namespace ft::train
