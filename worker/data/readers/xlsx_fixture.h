// Builds small .xlsx files for tests, part by part.
#pragma once

#include <zip.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "core/base/check.h"

namespace ft::data {

// The parts of a workbook with one sheet called "Data"; a test replaces what it is about.
inline std::map<std::string, std::string> WorkbookParts(const std::string& rows,
                                                        const std::string& after_rows = "") {
  const std::string head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
  const std::string relationship = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/";
  return {
      {"_rels/.rels", head + "<Relationships><Relationship Id=\"r1\" Type=\"" + relationship +
                          "officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"},
      {"xl/workbook.xml",
       head + "<workbook xmlns:r=\"r\"><sheets><sheet name=\"Data\" sheetId=\"1\" r:id=\"r1\"/>"
              "</sheets></workbook>"},
      {"xl/_rels/workbook.xml.rels",
       head + "<Relationships><Relationship Id=\"r1\" Type=\"" + relationship +
           "worksheet\" Target=\"worksheets/sheet1.xml\"/><Relationship Id=\"r2\" Type=\"" + relationship +
           "sharedStrings\" Target=\"sharedStrings.xml\"/><Relationship Id=\"r3\" Type=\"" + relationship +
           "styles\" Target=\"/xl/styles.xml\"/></Relationships>"},
      {"xl/sharedStrings.xml", head + "<sst><si><t>Question</t></si><si><t>Answer</t></si><si><r><t>rich "
                                      "</t></r><r><rPr><b/></rPr><t>text</t></r>"
                                      "<rPh sb=\"0\" eb=\"1\"><t>hint</t></rPh></si><si><t "
                                      "xml:space=\"preserve\">two_x000D_\nlines</t></si></sst>"},
      {"xl/styles.xml",
       head + "<styleSheet><numFmts><numFmt numFmtId=\"164\" formatCode=\"yyyy\\-mm\\-dd\"/></numFmts>"
              "<cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"164\"/><xf numFmtId=\"10\"/></cellXfs>"
              "</styleSheet>"},
      {"xl/worksheets/sheet1.xml",
       head + "<worksheet><sheetData>" + rows + "</sheetData>" + after_rows + "</worksheet>"},
  };
}

// Two header cells, Question and Answer, and `rows` below.
inline std::string WithHeader(const std::string& rows) {
  return "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"B1\" t=\"s\"><v>1</v></c></row>" + rows;
}

inline std::string TextCell(const std::string& reference, const std::string& text) {
  return "<c r=\"" + reference + "\" t=\"inlineStr\"><is><t>" + text + "</t></is></c>";
}

inline void WriteZip(const std::filesystem::path& path, const std::map<std::string, std::string>& parts) {
  int error = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error);
  FT_CHECK(archive != nullptr) << path << " " << error;
  for (const auto& [name, content] : parts) {
    zip_source_t* source = zip_source_buffer(archive, content.data(), content.size(), 0);
    FT_CHECK(source != nullptr && zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8) >= 0) << name;
  }
  FT_CHECK(zip_close(archive) == 0) << path;  // Reads the buffers, which live until here.
}

// All parts of a zip file, for tests that change one of them.
inline void ReadZip(const std::filesystem::path& path, std::map<std::string, std::string>* parts) {
  int error = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_RDONLY, &error);
  FT_CHECK(archive != nullptr) << path << " " << error;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive, 0); ++i) {
    zip_stat_t info;
    FT_CHECK(zip_stat_index(archive, static_cast<zip_uint64_t>(i), 0, &info) == 0);
    zip_file_t* file = zip_fopen_index(archive, static_cast<zip_uint64_t>(i), 0);
    FT_CHECK(file != nullptr) << info.name;
    std::string content(info.size, '\0');
    FT_CHECK(zip_fread(file, content.data(), content.size()) == static_cast<zip_int64_t>(content.size()))
        << info.name;
    zip_fclose(file);
    (*parts)[info.name] = std::move(content);
  }
  zip_discard(archive);
}

}  // namespace ft::data
