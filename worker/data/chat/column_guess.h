// Which fields of records that name neither question nor answer most likely hold them, to show a person what
// to write. Nothing is trained on this guess.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "worker/data/readers/record.h"

namespace ft::data {

struct ColumnGuess {
  std::string input, output;
};

// By words in the names, question marks, length and how often a value repeats. Addresses, dates, numbers and
// mostly empty fields are never taken. Nothing when fewer than two fields are left.
std::optional<ColumnGuess> GuessColumns(std::span<const Record> first,
                                        const std::vector<std::string>& fields);

// The field with the longest texts, for `format: text`; empty when none holds text.
std::string LongestText(std::span<const Record> first, const std::vector<std::string>& fields);

}  // namespace ft::data
