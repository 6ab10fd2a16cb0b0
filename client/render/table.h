// A table for people: columns aligned by display width, made to fit the terminal by cutting those that may be cut.
//   Table table({{.title = Text::kColumnName, .may_cut = true}, {.title = Text::kColumnStep, .align = Align::kRight}});
//   table.AddRow({"医疗问答", "12"});
//   Print(table.Render(terminal));
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "client/render/catalogue.h"
#include "client/render/terminal.h"

namespace ft::client {

enum class Align { kLeft, kRight };

struct Column {
  Text title;
  Align align = Align::kLeft;
  bool may_cut = false;  // Cut, down to min_width, when the table is wider than the terminal.
  int min_width = 8;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // REQUIRES: as many cells as columns. Cells are made printable.
  void AddRow(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  int rows() const { return static_cast<int>(rows_.size()); }
  // Title line and rows, each ended by '\n', without trailing spaces.
  std::string Render(const Terminal& terminal) const;

 private:
  std::vector<int> Widths(const Terminal& terminal) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "Key:   value" lines with the values in one column; empty values are left out.
std::string RenderFields(const Terminal& terminal, const std::vector<std::pair<Text, std::string>>& fields);

// Text broken at spaces (and between Chinese characters) so that no line is wider; continued lines are indented. What may be
// an argument of a command stays in one piece, so that it can be copied, and makes its line wider where it must.
std::string Wrap(std::string_view text, int width, int indent);

// Lines as they are, except that on a terminal those that are too wide are broken as Wrap does.
std::string WrapLines(std::string_view lines, const Terminal& terminal);

}  // namespace ft::client
