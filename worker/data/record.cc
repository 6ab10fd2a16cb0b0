#include "worker/data/record.h"

namespace ft::data {

std::string Describe(const Origin& origin) {
  if (!origin.sheet.empty()) return StrCat(origin.file, " sheet ", origin.sheet, " row ", origin.row);
  if (origin.row > 0) return StrCat(origin.file, " line ", origin.row);
  return origin.file;
}

const Field* Record::Find(std::string_view name) const {
  for (const Field& field : fields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

}  // namespace ft::data
