// What the files of filters share; jinja_filters.h is for everybody else.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_arguments.h"
#include "worker/data/jinja/jinja_budget.h"
#include "worker/data/jinja/jinja_value.h"

namespace ft::data::jinja {

struct FilterCall {
  const Value& value;
  std::string_view name;
  const Arguments& arguments;
  Budget& budget;
};

using Filter = StatusOr<Value> (*)(const FilterCall&);
using FilterTable = std::vector<std::pair<std::string_view, Filter>>;

// jinja_text_filters.cc: string safe trim upper lower capitalize title replace join escape e center indent tojson
FilterTable TextFilters();
// jinja_number_filters.cc: int float abs round sum min max length count
FilterTable NumberFilters();
// jinja_sequence_filters.cc: list first last reverse sort dictsort items unique batch
FilterTable SequenceFilters();
// jinja_selecting_filters.cc: default d attr map select reject selectattr rejectattr
FilterTable SelectingFilters();

// `items` put in order by a key for each, Python's sorted(): equal ones keep their order. INVALID_ARGUMENT for keys that
// have no order.
struct SortOptions {
  bool reverse = false;
  bool case_sensitive = false;
};
// The key as it is compared: texts in small letters where case does not count.
StatusOr<Value> FoldedKey(const Value& key, bool case_sensitive, Budget& budget);
StatusOr<List> SortedBy(const List& items, const List& keys, const SortOptions& options, Budget& budget);

}  // namespace ft::data::jinja
