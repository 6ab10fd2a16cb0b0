// The parts of an .xlsx package that a sheet needs: which part holds which sheet, shared strings, number
// formats.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <pugixml.hpp>

#include "worker/data/readers/number_format.h"
#include "worker/data/readers/zip_package.h"

namespace ft::data {

struct SheetEntry {
  std::string name;
  std::string part;  // Empty when it is no table (a chart).
  bool hidden = false;
};

struct Workbook {
  std::vector<SheetEntry> sheets;
  std::vector<std::string> shared_strings;
  std::vector<std::string> formats;  // Format code by a cell's style number.
  DateSystem dates;
};

// The name without its namespace prefix.
std::string_view LocalName(const pugi::xml_node& node);
// The first child of that local name; an empty node when there is none.
pugi::xml_node Child(const pugi::xml_node& node, std::string_view name);
// The text of a string item (<si>, <is>): its <t> or those of its runs, without phonetic hints, `_x000D_`
// decoded.
std::string StringItem(const pugi::xml_node& item);
// `_x000D_` and its like decoded, line ends as \n.
std::string Unescaped(std::string_view text);
// Characters directly inside the node.
std::string InnerText(const pugi::xml_node& node);

// Parses a part. INVALID_ARGUMENT for broken XML and for a document type, whose entities are never resolved.
Status ParsePart(const ZipPackage& package, const std::string& part, const std::string& file,
                 pugi::xml_document* document);

StatusOr<Workbook> ReadWorkbook(const ZipPackage& package, const std::string& file);

}  // namespace ft::data
