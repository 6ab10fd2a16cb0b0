// The columns of a parquet file as a tree of records, lists and maps, from the flat list of its footer. The format writes lists in
// several ways (LogicalTypes.md, "backward-compatibility rules"); here they are lists.
#pragma once

#include <string>
#include <vector>

#include "worker/data/readers/parquet_footer.h"

namespace ft::data {

// A column that holds values: where the tree ends.
struct ParquetLeaf {
  ParquetType type = ParquetType::kNone;
  ParquetMeaning meaning = ParquetMeaning::kPlain;
  int64_t length = 0, scale = 0, per_second = 0;  // As of ParquetElement.
  int max_definition = 0, max_repetition = 0;
  std::string path;  // "messages.list.element.content", for messages.
};

// How values stand in a leaf: every entry has a definition level, which says how far down its path something is there, and a
// repetition level, which says at which list of the path it goes on (0 = it begins a record).
struct ParquetNode {
  enum class Kind { kValue, kStruct, kList, kMap };
  Kind kind = Kind::kValue;
  std::string name;
  int definition = 0;  // From here on the node is there; below, it is null.
  // Of kList and kMap: from this definition on there is an item; items after the first have this repetition level.
  int item_definition = 0, item_repetition = 0;
  std::vector<ParquetNode> children;      // Of kStruct its members, of kList the item, of kMap key and value.
  size_t first_leaf = 0, leaf_count = 0;  // Those below it.
};

struct ParquetColumnTree {
  ParquetNode node;
  std::string unreadable;  // Why its values are not read; empty = they are.
};

struct ParquetSchema {
  std::vector<ParquetColumnTree> columns;
  std::vector<ParquetLeaf> leaves;
};

// INVALID_ARGUMENT with `file` in front: elements that make no tree, too many or too deep, two columns of one name.
StatusOr<ParquetSchema> MakeParquetSchema(const std::string& file,
                                          const std::vector<ParquetElement>& elements);

}  // namespace ft::data
