// Prints the records of a data file, for tests that compare with other libraries: a JSON object a line, numbers as texts.
//
//   read_records FILE
#include <cstdio>
#include <nlohmann/json.hpp>

#include "worker/data/readers/record.h"

namespace ft {
namespace {

using Json = nlohmann::ordered_json;

Json ValueOf(const data::Field& field) {
  switch (field.kind) {
    case data::FieldKind::kNull: return nullptr;
    case data::FieldKind::kBool: return field.text == "true";
    case data::FieldKind::kNested: return field.nested;
    case data::FieldKind::kError: return Json{{"error", field.text}};
    default: return field.text;
  }
}

Status Print(const char* path) {
  ASSIGN_OR_RETURN(const auto reader, data::OpenRecords(path, {}));
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<data::Record> record, reader->Next());
    if (!record) return absl::OkStatus();
    Json line = Json::object();
    for (const data::Field& field : record->fields) line[field.name] = ValueOf(field);
    std::puts(line.dump().c_str());
  }
}

}  // namespace
}  // namespace ft

int main(int argc, char** argv) {
  const ft::Status status = argc == 2 ? ft::Print(argv[1]) : absl::InvalidArgumentError("give one file");
  if (!status.ok()) std::fprintf(stderr, "read_records: %s\n", std::string(ft::Message(status)).c_str());
  return status.ok() ? 0 : 1;
}
