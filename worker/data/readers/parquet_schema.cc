#include "worker/data/readers/parquet_schema.h"

#include <simdjson.h>

#include <utility>

namespace ft::data {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxColumns = 1024;

class TreeMaker {
 public:
  TreeMaker(const std::string& file, const std::vector<ParquetElement>& elements)
      : file_(file), elements_(elements) {}

  StatusOr<ParquetSchema> Make() {
    const int64_t columns = elements_[0].children;
    if (columns < 1) return Refuse("has no columns; write it with at least one");
    if (columns > static_cast<int64_t>(kMaxColumns))
      return Refuse("has more than 1,024 columns; write those that are needed alone");
    for (int64_t i = 0; i < columns; ++i) {
      ParquetColumnTree column;
      unreadable_ = &column.unreadable;
      RETURN_IF_ERROR(Add({}, &column.node));
      for (const ParquetColumnTree& other : schema_.columns) {
        if (other.node.name == column.node.name)
          return Refuse(
              StrCat("has two columns that are called \"", column.node.name, "\"; rename one of them"));
      }
      schema_.columns.push_back(std::move(column));
    }
    if (next_ != elements_.size()) return Damaged();
    return std::move(schema_);
  }

 private:
  // What lies above an element.
  struct Above {
    int definition = 0, repetition = 0, depth = 0;
    std::string path;
  };

  Status Refuse(std::string_view why) const { return absl::InvalidArgumentError(StrCat(file_, " ", why)); }
  Status Damaged() const { return Refuse("is damaged: its columns make no tree; download or copy it again"); }
  void Unreadable(std::string why) const {
    if (unreadable_->empty()) *unreadable_ = std::move(why);
  }

  // The next element with all below it.
  Status Add(const Above& above, ParquetNode* node) {
    if (next_ == elements_.size()) return Damaged();
    const ParquetElement& element = elements_[next_];
    Above here = above;
    ++here.depth;
    here.path = StrCat(above.path, above.path.empty() ? "" : ".", element.name);
    if (!element.repeated) return AddOne(here, node);
    // A list without a group of its own: it is never null.
    node->kind = ParquetNode::Kind::kList;
    node->name = element.name;
    node->definition = above.definition;
    return AddItems(here, node);
  }

  // The element at next_, which is repeated, as the items of `list`.
  Status AddItems(Above here, ParquetNode* list) {
    list->item_definition = ++here.definition;
    list->item_repetition = ++here.repetition;
    list->first_leaf = schema_.leaves.size();
    list->children.emplace_back();
    RETURN_IF_ERROR(AddOne(here, &list->children.back()));
    list->leaf_count = schema_.leaves.size() - list->first_leaf;
    return absl::OkStatus();
  }

  // The element at next_, whatever its repetition.
  Status AddOne(Above here, ParquetNode* node) {
    if (here.depth > kMaxDepth) return Refuse("holds columns nested more than 64 levels; write them flat");
    const ParquetElement& element = elements_[next_];
    here.definition += element.optional;
    if (!simdjson::validate_utf8(element.name)) return Damaged();
    node->name = element.name;
    node->definition = here.definition;
    node->first_leaf = schema_.leaves.size();
    if (element.meaning == ParquetMeaning::kOther)
      Unreadable(StrCat("values of the kind ", element.meaning_name, ", which is not read"));
    if (element.type != ParquetType::kNone) {
      node->leaf_count = 1;
      return AddLeaf(here);
    }
    ++next_;
    if (element.children < 1 || element.children > static_cast<int64_t>(elements_.size())) return Damaged();
    if (IsListOf(element)) {
      RETURN_IF_ERROR(AddList(here, element, node));
    } else {
      RETURN_IF_ERROR(AddMembers(here, element.children, node));
    }
    node->leaf_count = schema_.leaves.size() - node->first_leaf;
    return absl::OkStatus();
  }

  // A group whose one child is repeated, and that says that it is a list or map.
  bool IsListOf(const ParquetElement& element) const {
    if (element.meaning != ParquetMeaning::kList && element.meaning != ParquetMeaning::kMap) return false;
    return element.children == 1 && next_ < elements_.size() && elements_[next_].repeated;
  }

  Status AddList(Above here, const ParquetElement& outer, ParquetNode* node) {
    const ParquetElement& repeated = elements_[next_];
    ++here.depth;
    StrAppend(&here.path, ".", repeated.name);
    const bool map = outer.meaning == ParquetMeaning::kMap && repeated.children == 2;
    node->kind = map ? ParquetNode::Kind::kMap : ParquetNode::Kind::kList;
    // The middle group is the item itself where it says more than one thing, or is called so by old writers.
    const bool middle = outer.meaning == ParquetMeaning::kList && repeated.type == ParquetType::kNone &&
                        repeated.children == 1 && repeated.name != "array" &&
                        repeated.name != StrCat(outer.name, "_tuple") && next_ + 1 < elements_.size() &&
                        !elements_[next_ + 1].repeated;
    if (!middle && !map) return AddItems(here, node);
    ++next_;
    node->item_definition = ++here.definition;
    node->item_repetition = ++here.repetition;
    for (int64_t i = 0; i < repeated.children; ++i) {
      node->children.emplace_back();
      RETURN_IF_ERROR(Add(here, &node->children.back()));
    }
    return absl::OkStatus();
  }

  Status AddMembers(const Above& here, int64_t count, ParquetNode* node) {
    node->kind = ParquetNode::Kind::kStruct;
    for (int64_t i = 0; i < count; ++i) {
      ParquetNode member;
      RETURN_IF_ERROR(Add(here, &member));
      for (const ParquetNode& other : node->children) {
        if (other.name == member.name)
          return Refuse(StrCat("has two columns that are called \"", here.path, ".", member.name,
                               "\"; rename one of them"));
      }
      node->children.push_back(std::move(member));
      if (node->children.size() > kMaxColumns)
        return Refuse("has more than 1,024 columns; write those that are needed alone");
    }
    return absl::OkStatus();
  }

  Status AddLeaf(const Above& here) {
    const ParquetElement& element = elements_[next_++];
    if (element.type == ParquetType::kFixed && (element.length < 1 || element.length > (1 << 20)))
      return Damaged();
    schema_.leaves.push_back({.type = element.type,
                              .meaning = element.meaning,
                              .length = element.length,
                              .scale = element.scale,
                              .per_second = element.per_second,
                              .max_definition = here.definition,
                              .max_repetition = here.repetition,
                              .path = here.path});
    return absl::OkStatus();
  }

  const std::string& file_;
  const std::vector<ParquetElement>& elements_;
  size_t next_ = 1;
  std::string* unreadable_ = nullptr;
  ParquetSchema schema_;
};

}  // namespace

StatusOr<ParquetSchema> MakeParquetSchema(const std::string& file,
                                          const std::vector<ParquetElement>& elements) {
  return TreeMaker(file, elements).Make();
}

}  // namespace ft::data
