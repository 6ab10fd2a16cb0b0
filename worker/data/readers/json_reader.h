// Records of .json and .jsonl files: the fields of each object in their order, numbers as they are written.
#pragma once

#include <memory>

#include <simdjson.h>

#include "worker/data/readers/json_scan.h"
#include "worker/data/readers/json_values.h"
#include "worker/data/readers/record.h"

namespace ft::data {

class JsonReader : public RecordReader {
 public:
  explicit JsonReader(JsonValues values, std::string file)
      : values_(std::move(values)), file_(std::move(file)) {}
  StatusOr<std::optional<Record>> Next() override;
  const std::vector<std::string>& columns() const override { return columns_; }
  std::vector<std::string> notes() const override;

 private:
  StatusOr<Field> ToField(JsonMember member, const Origin& origin);
  Status Broken(const JsonValue& value, const JsonFault& fault) const;

  JsonValues values_;
  std::string file_;
  std::vector<std::string> columns_;  // Stays empty.
  simdjson::dom::parser parser_;      // For the text of nested values.
};

}  // namespace ft::data
