#include "worker/data/readers/xlsx_workbook.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace ft::data {
namespace {

constexpr size_t kMaxPartBytes = size_t{128} << 20;

Status Broken(const std::string& file, std::string_view why) {
  return absl::InvalidArgumentError(
      StrCat(file, " is not a whole .xlsx workbook: ", why, "; save or copy it again"));
}

// An attribute by its local name: producers choose the prefix of r:id.
std::string Attribute(const pugi::xml_node& node, std::string_view name) {
  for (const pugi::xml_attribute& attribute : node.attributes()) {
    const std::string_view full = attribute.name();
    const size_t colon = full.find(':');
    if ((colon == std::string_view::npos ? full : full.substr(colon + 1)) == name) return attribute.value();
  }
  return "";
}

std::string FolderOf(const std::string& part) {
  const size_t slash = part.rfind('/');
  return slash == std::string::npos ? "" : part.substr(0, slash + 1);
}

struct Relationship {
  std::string type;  // The last word of its type's address.
  std::string part;
};

// The parts that `part` names, by id. An empty `part` stands for the package itself.
StatusOr<std::map<std::string, Relationship>> Relationships(const ZipPackage& package,
                                                            const std::string& part,
                                                            const std::string& file) {
  const std::string folder = FolderOf(part);
  const std::string rels = folder + "_rels/" + part.substr(folder.size()) + ".rels";
  pugi::xml_document document;
  RETURN_IF_ERROR(ParsePart(package, rels, file, &document));
  std::map<std::string, Relationship> found;
  for (const pugi::xml_node& node : Child(document, "Relationships").children()) {
    if (LocalName(node) != "Relationship") continue;
    if (std::string_view(node.attribute("TargetMode").value()) == "External") continue;
    const std::string type = node.attribute("Type").value();
    const std::string target = node.attribute("Target").value();
    found[node.attribute("Id").value()] = {type.substr(type.rfind('/') + 1),
                                           target.starts_with('/') ? target.substr(1) : folder + target};
  }
  return found;
}

void AppendUtf8(uint32_t code, std::string* out) {
  const auto put = [&](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

// The value of `_xHHHH_` at the front of `text`, or -1.
int32_t EscapeAt(std::string_view text) {
  if (text.size() < 7 || text[0] != '_' || text[1] != 'x' || text[6] != '_') return -1;
  int32_t value = 0;
  for (size_t i = 2; i < 6; ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (std::isxdigit(c) == 0) return -1;
    value = value * 16 + (std::isdigit(c) != 0 ? c - '0' : std::tolower(c) - 'a' + 10);
  }
  return value;
}

Status ReadSharedStrings(const ZipPackage& package, const std::string& part, const std::string& file,
                         std::vector<std::string>* strings) {
  pugi::xml_document document;
  RETURN_IF_ERROR(ParsePart(package, part, file, &document));
  for (const pugi::xml_node& item : Child(document, "sst").children()) {
    if (LocalName(item) == "si") strings->push_back(StringItem(item));
  }
  return absl::OkStatus();
}

Status ReadFormats(const ZipPackage& package, const std::string& part, const std::string& file,
                   std::vector<std::string>* formats) {
  pugi::xml_document document;
  RETURN_IF_ERROR(ParsePart(package, part, file, &document));
  const pugi::xml_node sheet = Child(document, "styleSheet");
  std::map<int, std::string> own;
  for (const pugi::xml_node& node : Child(sheet, "numFmts").children()) {
    own[node.attribute("numFmtId").as_int()] = node.attribute("formatCode").value();
  }
  for (const pugi::xml_node& node : Child(sheet, "cellXfs").children()) {
    if (LocalName(node) != "xf") continue;
    const int id = node.attribute("numFmtId").as_int();
    const auto found = own.find(id);
    formats->push_back(found != own.end() ? found->second : std::string(BuiltInFormat(id)));
  }
  return absl::OkStatus();
}

}  // namespace

// Spreadsheets write characters that XML cannot hold as _xHHHH_ (UTF-16 units).
std::string Unescaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t next = std::min(text.find('_'), text.size());
    out.append(text.substr(0, next));
    text.remove_prefix(next);
    if (text.empty()) break;
    int32_t unit = EscapeAt(text);
    if (unit < 0) {
      out.push_back('_');
      text.remove_prefix(1);
      continue;
    }
    text.remove_prefix(7);
    if (unit >= 0xD800 && unit < 0xDC00) {
      const int32_t low = EscapeAt(text);
      const bool pair = low >= 0xDC00 && low < 0xE000;
      if (pair) text.remove_prefix(7);
      unit = pair ? 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00) : 0xFFFD;
    } else if (unit >= 0xDC00 && unit < 0xE000) {
      unit = 0xFFFD;
    }
    if (unit == 0x0D && !text.starts_with('\n'))
      unit = '\n';  // A carriage return alone, or before a line break.
    if (unit != 0 && unit != 0x0D) AppendUtf8(static_cast<uint32_t>(unit), &out);
  }
  return out;
}

std::string_view LocalName(const pugi::xml_node& node) {
  const std::string_view full = node.name();
  const size_t colon = full.find(':');
  return colon == std::string_view::npos ? full : full.substr(colon + 1);
}

pugi::xml_node Child(const pugi::xml_node& node, std::string_view name) {
  for (const pugi::xml_node& child : node.children()) {
    if (LocalName(child) == name) return child;
  }
  return pugi::xml_node();
}

std::string InnerText(const pugi::xml_node& node) {
  std::string text;
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() == pugi::node_pcdata || child.type() == pugi::node_cdata) text += child.value();
  }
  return text;
}

std::string StringItem(const pugi::xml_node& item) {
  std::string text;
  for (const pugi::xml_node& child : item.children()) {
    if (LocalName(child) == "t") text += InnerText(child);
    if (LocalName(child) == "r") text += InnerText(Child(child, "t"));
  }
  return Unescaped(text);
}

Status ParsePart(const ZipPackage& package, const std::string& part, const std::string& file,
                 pugi::xml_document* document) {
  ASSIGN_OR_RETURN(const std::string xml, package.Read(part, kMaxPartBytes));
  if (xml.find("<!DOCTYPE") != std::string::npos) {
    return Broken(file, StrCat("its part ", part, " declares a document type, which workbooks never do"));
  }
  const pugi::xml_parse_result result =
      document->load_buffer(xml.data(), xml.size(), pugi::parse_default | pugi::parse_ws_pcdata_single);
  if (!result) {
    return Broken(file, StrCat("its part ", part, " is broken near byte ",
                               static_cast<int64_t>(result.offset), " (", result.description(), ")"));
  }
  return absl::OkStatus();
}

StatusOr<Workbook> ReadWorkbook(const ZipPackage& package, const std::string& file) {
  ASSIGN_OR_RETURN(const auto top, Relationships(package, "", file));
  const auto main = std::find_if(top.begin(), top.end(),
                                 [](const auto& entry) { return entry.second.type == "officeDocument"; });
  if (main == top.end()) return Broken(file, "it names no workbook");
  const std::string part = main->second.part;
  pugi::xml_document document;
  RETURN_IF_ERROR(ParsePart(package, part, file, &document));
  ASSIGN_OR_RETURN(const auto parts, Relationships(package, part, file));
  const pugi::xml_node root = Child(document, "workbook");
  Workbook workbook;
  workbook.dates.from_1904 = Child(root, "workbookPr").attribute("date1904").as_bool();
  for (const pugi::xml_node& node : Child(root, "sheets").children()) {
    if (LocalName(node) != "sheet") continue;
    const auto found = parts.find(Attribute(node, "id"));
    const bool table = found != parts.end() && found->second.type == "worksheet";
    const std::string_view state = node.attribute("state").value();
    workbook.sheets.push_back({.name = node.attribute("name").value(),
                               .part = table ? found->second.part : "",
                               .hidden = state == "hidden" || state == "veryHidden"});
  }
  for (const auto& [id, relationship] : parts) {
    if (relationship.type == "sharedStrings") {
      RETURN_IF_ERROR(ReadSharedStrings(package, relationship.part, file, &workbook.shared_strings));
    } else if (relationship.type == "styles") {
      RETURN_IF_ERROR(ReadFormats(package, relationship.part, file, &workbook.formats));
    }
  }
  return workbook;
}

}  // namespace ft::data
