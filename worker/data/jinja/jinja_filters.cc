#include "worker/data/jinja/jinja_filters.h"

#include <unordered_map>

#include "worker/data/jinja/jinja_filter_call.h"
#include "worker/data/jinja/jinja_operators.h"

namespace ft::data::jinja {
namespace {

// Every filter by its names.
const std::unordered_map<std::string_view, Filter>& Filters() {
  static const std::unordered_map<std::string_view, Filter> filters = [] {
    std::unordered_map<std::string_view, Filter> all;
    for (const auto& table : {TextFilters(), NumberFilters(), SequenceFilters(), SelectingFilters()}) {
      all.insert(table.begin(), table.end());
    }
    return all;
  }();
  return filters;
}

}  // namespace

StatusOr<Value> ApplyFilter(std::string_view name, const Value& value, const Arguments& arguments,
                            Budget& budget) {
  const auto found = Filters().find(name);
  if (found == Filters().end())
    return absl::InvalidArgumentError(StrCat("the filter ", name, " is not supported"));
  return found->second({value, name, arguments, budget});
}

StatusOr<Value> GetPath(const Value& object, const Value& path, Budget& budget) {
  if (path.is_whole()) return GetItem(object, path, budget);
  if (!path.is(Value::Kind::kString)) return WrongType("naming an attribute by", path);
  Value found = object;
  std::string_view rest = path.string();
  while (true) {
    const size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    const bool is_number =
        !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string_view::npos;
    const Value key =
        is_number ? Value::Int(std::stoll(std::string(part))) : Value::String(std::string(part));
    ASSIGN_OR_RETURN(found, GetItem(found, key, budget));
    if (dot == std::string_view::npos) return found;
    rest.remove_prefix(dot + 1);
  }
}

}  // namespace ft::data::jinja
