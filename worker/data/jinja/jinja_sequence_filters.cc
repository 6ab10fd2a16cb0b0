#include <algorithm>
#include <numeric>

#include "worker/data/jinja/jinja_filter_call.h"
#include "worker/data/jinja/jinja_filters.h"
#include "worker/data/jinja/jinja_methods.h"
#include "worker/data/jinja/jinja_operators.h"
#include "worker/data/jinja/jinja_text.h"

namespace ft::data::jinja {
namespace {

using Kind = Value::Kind;

StatusOr<Value> ToList(const FilterCall& call) {
  ASSIGN_OR_RETURN(List items, Items(call.value, call.budget));
  return Value::FromList(std::move(items));
}

StatusOr<Value> First(const FilterCall& call) {
  const bool is_plain = call.value.is(Kind::kList) && call.value.sequence() != Sequence::kGenerator;
  if (is_plain) {
    return call.value.list().empty() ? Value::MakeUndefined("there is no first item")
                                     : call.value.list().front();
  }
  if (call.value.is(Kind::kString)) return GetItem(call.value, Value::Int(0), call.budget);
  ASSIGN_OR_RETURN(const List items, Items(call.value, call.budget));
  return items.empty() ? Value::MakeUndefined("there is no first item") : items.front();
}

StatusOr<Value> Last(const FilterCall& call) {
  if (call.value.is_list(Sequence::kGenerator)) return WrongType("taking the last item of", call.value);
  if (call.value.is(Kind::kString)) return GetItem(call.value, Value::Int(-1), call.budget);
  if (call.value.is(Kind::kList) && !call.value.list().empty()) return call.value.list().back();
  ASSIGN_OR_RETURN(const List items, Items(call.value, call.budget));
  return items.empty() ? Value::MakeUndefined("there is no last item") : items.back();
}

StatusOr<Value> Reverse(const FilterCall& call) {
  if (call.value.is(Kind::kString)) return GetSlice(call.value, {.step = Value::Int(-1)}, call.budget);
  ASSIGN_OR_RETURN(List items, Items(call.value, call.budget));
  std::reverse(items.begin(), items.end());
  return Value::FromList(std::move(items), Sequence::kGenerator);
}

StatusOr<Value> MadeItems(const FilterCall& call) {
  if (call.value.is(Kind::kUndefined)) return Value::FromList({}, Sequence::kGenerator);
  if (!call.value.is(Kind::kDict)) return WrongType("taking the items of", call.value);
  ASSIGN_OR_RETURN(const Value view, CallMethod(call.value, "items", {}, call.budget));
  return Value::FromList(view.list(), Sequence::kGenerator);
}

// The values that `attribute` names in each item, several of them separated by commas; the items themselves without one.
StatusOr<List> KeysOf(const FilterCall& call, const List& items, const Value* attribute,
                      bool case_sensitive) {
  std::vector<std::string> paths;
  if (attribute != nullptr && attribute->is(Kind::kString)) {
    std::string_view rest = attribute->string();
    for (size_t comma = 0; comma != std::string_view::npos;) {
      comma = rest.find(',');
      paths.emplace_back(rest.substr(0, comma));
      if (comma != std::string_view::npos) rest.remove_prefix(comma + 1);
    }
  }
  List keys;
  for (const Value& item : items) {
    List parts;
    for (const std::string& path : paths) {
      ASSIGN_OR_RETURN(const Value found, GetPath(item, Value::String(path), call.budget));
      ASSIGN_OR_RETURN(Value key, FoldedKey(found, case_sensitive, call.budget));
      parts.push_back(std::move(key));
    }
    if (paths.empty()) {
      ASSIGN_OR_RETURN(Value key, FoldedKey(item, case_sensitive, call.budget));
      parts.push_back(std::move(key));
    }
    if (parts.size() == 1) {
      keys.push_back(std::move(parts[0]));
      continue;
    }
    ASSIGN_OR_RETURN(Value key, Value::FromList(std::move(parts)));
    keys.push_back(std::move(key));
  }
  return keys;
}

// sort(reverse=false, case_sensitive=false, attribute=none)
StatusOr<Value> Sort(const FilterCall& call) {
  const SortOptions options{.reverse = call.arguments.Flag(0, "reverse", false),
                            .case_sensitive = call.arguments.Flag(1, "case_sensitive", false)};
  ASSIGN_OR_RETURN(const List items, Items(call.value, call.budget));
  ASSIGN_OR_RETURN(const List keys,
                   KeysOf(call, items, call.arguments.Get(2, "attribute"), options.case_sensitive));
  ASSIGN_OR_RETURN(List sorted, SortedBy(items, keys, options, call.budget));
  return Value::FromList(std::move(sorted));
}

// dictsort(case_sensitive=false, by="key", reverse=false)
StatusOr<Value> SortDict(const FilterCall& call) {
  if (!call.value.is(Kind::kDict)) return WrongType("sorting the items of", call.value);
  ASSIGN_OR_RETURN(const std::string by, call.arguments.Text(1, "by", "key"));
  if (by != "key" && by != "value") return absl::InvalidArgumentError("dictsort sorts by key or value");
  const SortOptions options{.reverse = call.arguments.Flag(2, "reverse", false),
                            .case_sensitive = call.arguments.Flag(0, "case_sensitive", false)};
  ASSIGN_OR_RETURN(const Value view, CallMethod(call.value, "items", {}, call.budget));
  List keys;
  for (const Value& pair : view.list()) {
    ASSIGN_OR_RETURN(Value key,
                     FoldedKey(pair.list()[by == "key" ? 0 : 1], options.case_sensitive, call.budget));
    keys.push_back(std::move(key));
  }
  ASSIGN_OR_RETURN(List sorted, SortedBy(view.list(), keys, options, call.budget));
  return Value::FromList(std::move(sorted));
}

// unique(case_sensitive=false, attribute=none)
StatusOr<Value> Unique(const FilterCall& call) {
  ASSIGN_OR_RETURN(const List items, Items(call.value, call.budget));
  const bool case_sensitive = call.arguments.Flag(0, "case_sensitive", false);
  ASSIGN_OR_RETURN(const List keys, KeysOf(call, items, call.arguments.Get(1, "attribute"), case_sensitive));
  List kept, seen;
  for (size_t i = 0; i < items.size(); ++i) {
    RETURN_IF_ERROR(call.budget.Charge(seen.size() * keys[i].weight()));
    const bool known =
        std::any_of(seen.begin(), seen.end(), [&](const Value& before) { return AreEqual(before, keys[i]); });
    if (known) continue;
    seen.push_back(keys[i]);
    kept.push_back(items[i]);
  }
  return Value::FromList(std::move(kept), Sequence::kGenerator);
}

// batch(linecount, fill_with=none)
StatusOr<Value> Batch(const FilterCall& call) {
  ASSIGN_OR_RETURN(const int64_t size, call.arguments.Whole(0, "linecount", 0));
  if (size < 1) return absl::InvalidArgumentError("batch needs the number of items in each");
  const Value* fill = call.arguments.Get(1, "fill_with");
  ASSIGN_OR_RETURN(const List items, Items(call.value, call.budget));
  List batches;
  for (size_t begin = 0; begin < items.size(); begin += static_cast<size_t>(size)) {
    const size_t end = std::min(items.size(), begin + static_cast<size_t>(size));
    List batch(items.begin() + static_cast<std::ptrdiff_t>(begin),
               items.begin() + static_cast<std::ptrdiff_t>(end));
    const size_t missing = static_cast<size_t>(size) - batch.size();
    if (fill != nullptr && !fill->is(Kind::kNone)) {
      RETURN_IF_ERROR(call.budget.ChargeText(missing > SIZE_MAX / 64 ? SIZE_MAX : missing * sizeof(Value)));
      batch.resize(batch.size() + missing, *fill);
    }
    ASSIGN_OR_RETURN(Value made, Value::FromList(std::move(batch)));
    batches.push_back(std::move(made));
    if (items.size() - begin <= static_cast<size_t>(size)) break;
  }
  return Value::FromList(std::move(batches), Sequence::kGenerator);
}

}  // namespace

StatusOr<Value> FoldedKey(const Value& key, bool case_sensitive, Budget& budget) {
  if (case_sensitive || !key.is(Kind::kString)) return key;
  RETURN_IF_ERROR(budget.ChargeText(key.string().size()));
  return Value::String(Lower(key.string()));
}

StatusOr<List> SortedBy(const List& items, const List& keys, const SortOptions& options, Budget& budget) {
  std::vector<size_t> places(items.size());
  std::iota(places.begin(), places.end(), size_t{0});
  // Sorting goes on orderly after an error: all that is left then counts as equal.
  Status failed = absl::OkStatus();
  const auto less = [&](size_t a, size_t b) {
    if (!failed.ok()) return false;
    failed = budget.Charge(1);
    const StatusOr<int> order = failed.ok() ? Order(keys[a], keys[b], budget) : failed;
    if (!order.ok()) failed = order.status();
    return order.ok() && (options.reverse ? *order > 0 : *order < 0);
  };
  std::stable_sort(places.begin(), places.end(), less);
  RETURN_IF_ERROR(failed);
  List sorted;
  for (const size_t at : places) sorted.push_back(items[at]);
  return sorted;
}

FilterTable SequenceFilters() {
  return {{"list", ToList},     {"first", First},   {"last", Last},
          {"reverse", Reverse}, {"sort", Sort},     {"dictsort", SortDict},
          {"items", MadeItems}, {"unique", Unique}, {"batch", Batch}};
}

}  // namespace ft::data::jinja
