#include "worker/data/readers/parquet_reader.h"

#include <algorithm>
#include <utility>

#include "worker/data/readers/json_values.h"
#include "worker/data/readers/parquet_values.h"

namespace ft::data {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxRowValues = uint64_t{1} << 20;
constexpr size_t kMaxMapKeys = 1024;  // Each is compared with those before it.
constexpr uint64_t kMaxRatio = 1000;
constexpr uint64_t kMinGivenLimit = uint64_t{1} << 30;

}  // namespace

ParquetReader::ParquetReader(RandomAccessFile file, ParquetFooter footer, ParquetSchema schema)
    : file_(std::move(file)), footer_(std::move(footer)), schema_(std::move(schema)) {}

StatusOr<std::unique_ptr<ParquetReader>> ParquetReader::Open(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(RandomAccessFile file, RandomAccessFile::Open(path));
  ASSIGN_OR_RETURN(ParquetFooter footer, ReadParquetFooter(file));
  ASSIGN_OR_RETURN(ParquetSchema schema, MakeParquetSchema(path.string(), footer.schema));
  std::unique_ptr<ParquetReader> reader(
      new ParquetReader(std::move(file), std::move(footer), std::move(schema)));
  reader->leaves_.resize(reader->schema_.leaves.size());
  for (const ParquetColumnTree& column : reader->schema_.columns) {
    if (!column.unreadable.empty()) continue;
    const ParquetNode& node = column.node;
    for (size_t i = node.first_leaf; i < node.first_leaf + node.leaf_count; ++i) {
      reader->leaves_[i] =
          std::make_unique<ParquetColumn>(reader->file_, reader->schema_.leaves[i], reader->memory_);
    }
  }
  return reader;
}

Status ParquetReader::RefuseRow(std::string_view why) const {
  return absl::InvalidArgumentError(StrCat(file_.path().string(), " row ", row_, ": ", why));
}

Status ParquetReader::BeginGroup(const ParquetGroup& group) {
  if (group.rows < 0 || group.columns.size() != schema_.leaves.size()) {
    return absl::InvalidArgumentError(StrCat(file_.path().string(),
                                             " is damaged: a group of rows does not have the file's columns; "
                                             "download or copy it again"));
  }
  rows_left_ = group.rows;
  if (rows_left_ == 0) return absl::OkStatus();
  for (size_t i = 0; i < leaves_.size(); ++i) {
    if (leaves_[i] != nullptr) RETURN_IF_ERROR(leaves_[i]->Begin(group.columns[i], footer_.begin));
  }
  return absl::OkStatus();
}

Status ParquetReader::EndGroup() const {
  for (const std::unique_ptr<ParquetColumn>& column : leaves_) {
    if (column != nullptr && column->any())
      return column->Damaged("it holds more than the file has rows; download or copy the file again");
  }
  return absl::OkStatus();
}

StatusOr<bool> ParquetReader::BeginRow() {
  while (rows_left_ == 0) {
    RETURN_IF_ERROR(EndGroup());
    if (next_group_ == footer_.groups.size()) return false;
    RETURN_IF_ERROR(BeginGroup(footer_.groups[next_group_++]));
  }
  --rows_left_;
  ++row_;
  row_values_ = row_bytes_ = 0;
  return true;
}

StatusOr<std::optional<Record>> ParquetReader::Next() {
  ASSIGN_OR_RETURN(const bool any, BeginRow());
  if (!any) return std::optional<Record>();
  Record record;
  record.origin = {.file = file_.path().string(), .row = row_, .index = row_ - 1, .of_table = true};
  record.fields.reserve(schema_.columns.size());
  for (const ParquetColumnTree& column : schema_.columns) {
    Field field{.name = column.node.name};
    if (column.unreadable.empty()) {
      RETURN_IF_ERROR(ReadField(column.node, &field));
    } else {
      field.kind = FieldKind::kError;
      field.text = column.unreadable;
      RETURN_IF_ERROR(Count(1));
    }
    record.fields.push_back(std::move(field));
  }
  return std::optional<Record>(std::move(record));
}

Status ParquetReader::ReadField(const ParquetNode& node, Field* field) {
  Json value;
  RETURN_IF_ERROR(Read(node, 0, &value, field));
  if (node.kind == ParquetNode::Kind::kValue) return absl::OkStatus();
  if (field->kind == FieldKind::kError) return absl::OkStatus();
  field->kind = value.is_null() ? FieldKind::kNull : FieldKind::kNested;
  field->text = value.is_null() ? "" : value.dump();
  field->nested = value.is_null() ? Json() : std::move(value);
  return absl::OkStatus();
}

Status ParquetReader::Count(uint64_t bytes) {
  ++row_values_;
  row_bytes_ += bytes;
  given_ += bytes + 1;
  if (row_values_ > kMaxRowValues) return RefuseRow("this record holds more than a million values; split it");
  if (row_bytes_ > kMaxRecordBytes) return RefuseRow("this record is longer than 16 MiB; split it");
  if (given_ > std::max(kMinGivenLimit, file_.size() * kMaxRatio))
    return RefuseRow(
        "up to here the file has given 1,000 times its own size; save it as .jsonl if that is right");
  return absl::OkStatus();
}

Status ParquetReader::Expect(const ParquetColumn& column, int repetition) const {
  if (!column.any())
    return column.Damaged("it ends before the file's rows do; download or copy the file again");
  return column.repetition() == repetition ? absl::OkStatus() : DoesNotFit(column);
}

Status ParquetReader::DoesNotFit(const ParquetColumn& column) const {
  return column.Damaged(
      StrCat("it does not fit the other columns in row ", row_, "; download or copy the file again"));
}

Status ParquetReader::PassOver(const ParquetNode& node, const Levels& levels) {
  for (size_t i = node.first_leaf; i < node.first_leaf + node.leaf_count; ++i) {
    RETURN_IF_ERROR(Expect(*leaves_[i], levels.repetition));
    if (leaves_[i]->definition() >= levels.below) return DoesNotFit(*leaves_[i]);
    RETURN_IF_ERROR(Count(0));
    RETURN_IF_ERROR(leaves_[i]->Advance());
  }
  return absl::OkStatus();
}

Status ParquetReader::Read(const ParquetNode& node, int repetition, Json* value, Field* field) {
  ParquetColumn& first = *leaves_[node.first_leaf];
  RETURN_IF_ERROR(Expect(first, repetition));
  const bool null = first.definition() < node.definition;
  // The columns of a record that is null say so all together.
  for (size_t i = node.first_leaf + 1; i < node.first_leaf + node.leaf_count; ++i) {
    if ((leaves_[i]->definition() < node.definition) != null) return DoesNotFit(*leaves_[i]);
  }
  if (null) {
    if (field->kind != FieldKind::kError) field->kind = FieldKind::kNull;
    *value = nullptr;
    return PassOver(node, {.repetition = repetition, .below = node.definition});
  }
  switch (node.kind) {
    case ParquetNode::Kind::kStruct: return ReadStruct(node, repetition, value, field);
    case ParquetNode::Kind::kList:
    case ParquetNode::Kind::kMap: return ReadItems(node, repetition, value, field);
    case ParquetNode::Kind::kValue: break;
  }
  Field found;
  TextOfParquet(first.leaf(), first.value(), &found);
  RETURN_IF_ERROR(Count(found.text.size()));
  // One bad value within makes the whole field unusable, and is what is said of it.
  if (field->kind != FieldKind::kError) {
    field->kind = found.kind;
    *value = found.kind == FieldKind::kError ? Json() : JsonOfParquet(first.leaf(), first.value(), found);
    field->text = std::move(found.text);
  }
  return first.Advance();
}

Status ParquetReader::ReadStruct(const ParquetNode& node, int repetition, Json* value, Field* field) {
  *value = Json::object();
  for (const ParquetNode& member : node.children) {
    Json inner;
    RETURN_IF_ERROR(Read(member, repetition, &inner, field));
    // Names are known to differ, so none is looked for.
    value->get_ref<Json::object_t&>().emplace_back(member.name, std::move(inner));
  }
  return absl::OkStatus();
}

Status ParquetReader::ReadPair(const ParquetNode& node, int repetition, Json* value, Field* field) {
  Json key, inner;
  RETURN_IF_ERROR(Read(node.children[0], repetition, &key, field));
  RETURN_IF_ERROR(Read(node.children[1], repetition, &inner, field));
  if (field->kind == FieldKind::kError) return absl::OkStatus();
  std::string name = key.is_string() ? key.get<std::string>() : key.dump();
  const bool room = value->size() < kMaxMapKeys;
  if (room && value->emplace(std::move(name), std::move(inner)).second) return absl::OkStatus();
  field->kind = FieldKind::kError;
  field->text = room ? "a map that has a key twice" : "a map of more than 1,024 keys";
  return absl::OkStatus();
}

Status ParquetReader::ReadItems(const ParquetNode& node, int repetition, Json* value, Field* field) {
  const bool map = node.kind == ParquetNode::Kind::kMap;
  *value = map ? Json::object() : Json::array();
  const ParquetColumn& first = *leaves_[node.first_leaf];
  if (first.definition() < node.item_definition)
    return PassOver(node, {.repetition = repetition, .below = node.item_definition});
  for (int level = repetition;; level = node.item_repetition) {
    if (map) {
      RETURN_IF_ERROR(ReadPair(node, level, value, field));
    } else {
      Json item;
      RETURN_IF_ERROR(Read(node.children[0], level, &item, field));
      value->push_back(std::move(item));
    }
    if (!first.any() || first.repetition() != node.item_repetition) return absl::OkStatus();
  }
}

}  // namespace ft::data
