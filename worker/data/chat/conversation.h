// A conversation to learn from: what every shape of chat data becomes, and what templates render.
#pragma once

#include <string>
#include <vector>

namespace ft::data {

// A question and its answer. The system text and the question never carry loss.
struct Turn {
  std::string system;  // Usually only in the first turn.
  std::string input;   // Empty = the answer stands alone.
  std::string output;
  bool loss = true;      // Whether the answer is learnt.
  bool answered = true;  // False: a message of the same side follows, and `output` is not there.
};

using Conversation = std::vector<Turn>;

}  // namespace ft::data
