// A map whose copy is one pointer: values are shared and immutable, and a change copies only the path to the leaf that it
// touches, unless this map alone has made that path since it was last copied. This is what makes a whole snapshot of the coordinator's state affordable after every commit, with a hundred
// thousand jobs as with ten. A value is safe to read from any thread; one map object belongs to one thread.
//
// A persistent hash trie (Bagwell, "Ideal Hash Trees", 2001, with leaves of several entries). Keys are hashed by the part
// before the first '/', so that all keys of one job lie in one leaf and in order.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
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
    const Node* leaf = LeafOf(HashOf(key));
    if (leaf == nullptr) return nullptr;
    const auto it = leaf->entries.find(key);
    return it == leaf->entries.end() ? nullptr : it->second;
  }

  void Set(const std::string& key, Ptr value) {
    const uint64_t hash = HashOf(key);
    Node& leaf = OwnLeaf(hash);
    size_ += leaf.entries.insert_or_assign(key, std::move(value)).second ? 1 : 0;
  }

  void Erase(const std::string& key) {
    if (Find(key) == nullptr) return;
    OwnLeaf(HashOf(key)).entries.erase(key);
    --size_;
  }

  // All values, in no particular order.
  template <typename F>
  void ForEach(F visit) const {
    Walk(root_.get(), visit);
  }

  // The values whose key starts with "prefix/", in order of keys.
  std::vector<Ptr> Under(const std::string& prefix) const {
    std::vector<Ptr> found;
    const Node* leaf = LeafOf(HashOf(prefix));
    if (leaf == nullptr) return found;
    const std::string start = prefix + "/";
    for (auto it = leaf->entries.lower_bound(start);
         it != leaf->entries.end() && it->first.starts_with(start); ++it) {
      found.push_back(it->second);
    }
    return found;
  }

  size_t size() const { return size_; }

 private:
  static constexpr int kBits = 4;
  static constexpr size_t kChildren = size_t{1} << kBits;
  static constexpr int kMaxDepth = 64 / kBits;
  static constexpr size_t kSplitAt = 32;

  // Names the nodes that no other map sees. Copying a map ends that for both.
  class Owner {
   public:
    Owner() = default;
    Owner(const Owner& other) { other.id_ = 0; }
    Owner& operator=(const Owner& other) {
      other.id_ = 0;
      id_ = 0;
      return *this;
    }
    uint64_t Id() {
      static std::atomic<uint64_t> next = 1;
      if (id_ == 0) id_ = next.fetch_add(1);
      return id_;
    }

   private:
    mutable std::atomic<uint64_t> id_ = 0;
  };

  // A leaf has entries, any other node has children.
  struct Node {
    uint64_t owner = 0;
    bool is_leaf = true;
    std::map<std::string, Ptr> entries;
    std::array<std::shared_ptr<Node>, kChildren> children;
  };

  static uint64_t HashOf(std::string_view key) {
    return std::hash<std::string_view>()(key.substr(0, key.find('/')));
  }
  static size_t ChildOf(uint64_t hash, int depth) { return (hash >> (depth * kBits)) & (kChildren - 1); }

  const Node* LeafOf(uint64_t hash) const {
    const Node* node = root_.get();
    for (int depth = 0; node != nullptr && !node->is_leaf; ++depth)
      node = node->children[ChildOf(hash, depth)].get();
    return node;
  }

  // The node, in a version that no other map sees.
  static Node& Own(std::shared_ptr<Node>& node, uint64_t owner) {
    if (node == nullptr) {
      node = std::make_shared<Node>();
    } else if (node->owner != owner) {
      node = std::make_shared<Node>(*node);
    }
    node->owner = owner;
    return *node;
  }

  Node& OwnLeaf(uint64_t hash) {
    std::shared_ptr<Node>* slot = &root_;
    for (int depth = 0;; ++depth) {
      Node& node = Own(*slot, owner_.Id());
      if (node.is_leaf && node.entries.size() >= kSplitAt && depth < kMaxDepth) Split(node, depth);
      if (node.is_leaf) return node;
      slot = &node.children[ChildOf(hash, depth)];
    }
  }

  // Entries of one hash stay together: however many they are, splitting would not part them.
  static void Split(Node& node, int depth) {
    const uint64_t first = HashOf(node.entries.begin()->first);
    bool differ = false;
    for (const auto& [key, value] : node.entries) differ = differ || HashOf(key) != first;
    if (!differ) return;
    for (auto& [key, value] : node.entries) {
      Own(node.children[ChildOf(HashOf(key), depth)], node.owner).entries.emplace(key, std::move(value));
    }
    node.entries.clear();
    node.is_leaf = false;
  }

  template <typename F>
  static void Walk(const Node* node, F& visit) {
    if (node == nullptr) return;
    for (const auto& [key, value] : node->entries) visit(value);
    if (node->is_leaf) return;
    for (const auto& child : node->children) Walk(child.get(), visit);
  }

  Owner owner_;
  std::shared_ptr<Node> root_;
  size_t size_ = 0;
};

}  // namespace ft::state
