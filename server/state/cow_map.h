// A map whose copy is cheap: values are shared and immutable, and a change copies only the bucket it touches.
// This is what makes a whole snapshot of the coordinator's state affordable after every commit. A value is
// safe to read from any thread; one map object belongs to one thread.
//
// Keys are bucketed by the part before the first '/', so that all keys of one job lie together and in order.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ft::state {

template <typename T>
class CowMap {
 public:
  using Ptr = std::shared_ptr<const T>;

  Ptr Find(const std::string& key) const {
    const auto& bucket = buckets_[BucketOf(key)];
    if (bucket == nullptr) return nullptr;
    const auto it = bucket->find(key);
    return it == bucket->end() ? nullptr : it->second;
  }

  void Set(const std::string& key, Ptr value) {
    auto& bucket = buckets_[BucketOf(key)];
    auto copy = bucket == nullptr ? std::make_shared<Bucket>() : std::make_shared<Bucket>(*bucket);
    size_ += copy->insert_or_assign(key, std::move(value)).second ? 1 : 0;
    bucket = std::move(copy);
  }

  void Erase(const std::string& key) {
    auto& bucket = buckets_[BucketOf(key)];
    if (bucket == nullptr || !bucket->contains(key)) return;
    auto copy = std::make_shared<Bucket>(*bucket);
    copy->erase(key);
    --size_;
    bucket = std::move(copy);
  }

  // All values, in no particular order.
  template <typename F>
  void ForEach(F visit) const {
    for (const auto& bucket : buckets_) {
      if (bucket == nullptr) continue;
      for (const auto& [key, value] : *bucket) visit(value);
    }
  }

  // The values whose key starts with "prefix/", in order of keys.
  std::vector<Ptr> Under(const std::string& prefix) const {
    std::vector<Ptr> found;
    const auto& bucket = buckets_[BucketOf(prefix)];
    if (bucket == nullptr) return found;
    const std::string start = prefix + "/";
    for (auto it = bucket->lower_bound(start); it != bucket->end() && it->first.starts_with(start); ++it) {
      found.push_back(it->second);
    }
    return found;
  }

  size_t size() const { return size_; }

 private:
  using Bucket = std::map<std::string, Ptr>;
  static constexpr size_t kBuckets = 64;

  static size_t BucketOf(std::string_view key) {
    return std::hash<std::string_view>()(key.substr(0, key.find('/'))) % kBuckets;
  }

  std::array<std::shared_ptr<const Bucket>, kBuckets> buckets_;
  size_t size_ = 0;
};

}  // namespace ft::state
