// A map from strings that keeps the entries which were used last, at most so many. One thread.
#pragma once

#include <list>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace ft::spool {

template <typename Value>
class Recent {
 public:
  explicit Recent(size_t limit) : limit_(limit) {}

  // Valid until the next Put() or Erase; null when it is not kept.
  Value* Find(std::string_view key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, it->second);
    return &it->second->second;
  }

  Value& Put(std::string key, Value value) {
    Erase(key);
    entries_.emplace_front(std::move(key), std::move(value));
    index_.emplace(entries_.front().first, entries_.begin());
    if (entries_.size() > limit_) {
      index_.erase(entries_.back().first);
      entries_.pop_back();
    }
    return entries_.front().second;
  }

  void Erase(std::string_view key) {
    const auto it = index_.find(key);
    if (it != index_.end()) Drop(it);
  }

  void ErasePrefix(std::string_view prefix) {
    for (auto it = index_.lower_bound(prefix); it != index_.end() && it->first.starts_with(prefix);)
      it = Drop(it);
  }

  size_t size() const { return entries_.size(); }

 private:
  using Entries = std::list<std::pair<std::string, Value>>;
  using Index = std::map<std::string_view, typename Entries::iterator>;

  // The index's key lies in the entry.
  typename Index::iterator Drop(typename Index::iterator it) {
    const auto entry = it->second;
    it = index_.erase(it);
    entries_.erase(entry);
    return it;
  }

  const size_t limit_;
  Entries entries_;  // Newest first.
  Index index_;
};

}  // namespace ft::spool
