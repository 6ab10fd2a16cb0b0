#include "client/render/table.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "client/render/width.h"
#include "core/base/check.h"

namespace ft::client {
namespace {

constexpr int kGap = 2;

void DropTrailingSpaces(std::string& line) {
  const size_t end = line.find_last_not_of(' ');
  line.resize(end == std::string::npos ? 0 : end + 1);
}

// The bytes of the UTF-8 character that starts `text`; one for a byte that starts none.
size_t CharacterBytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  return std::min(bytes, text.size());
}

// Where an argument of a command line that stands at the beginning of `text` ends, so that it can be copied whole: a text in
// quotes, a word with a '=' in it, an option, a path. 0 where none stands there.
size_t ArgumentEnd(std::string_view text) {
  size_t end = 0;
  if (text[0] == '\'' || text[0] == '"') {
    end = text.find(text[0], 1);
    if (end == std::string_view::npos) return 0;
    ++end;
    const bool goes_on = end < text.size() && (text[end] == '\\' || text[end] == ',');
    return goes_on ? std::min(text.find(' ', end), text.size()) : end;
  }
  const std::string_view word = text.substr(0, text.find(' '));
  size_t ascii = 0;
  while (ascii < word.size() && static_cast<unsigned char>(word[ascii]) < 0x80) ++ascii;
  const std::string_view start = word.substr(0, ascii);
  if (start.find('=') != std::string_view::npos || start.starts_with("--")) return word.size();
  if (start.find('/') == std::string_view::npos) return 0;
  // What follows a path in a Chinese sentence follows without a space.
  for (const std::string_view mark : {"：", "；", "，", "。", "（", "）"})
    end = std::min(end == 0 ? word.size() : end, word.find(mark));
  return end;
}

// The next piece that stays together: an argument, a wide character, or all up to a space or wide character. Within a command
// (between backquotes) words stay whole.
std::string_view NextPiece(std::string_view text, bool begins_word, bool in_command) {
  // An opening bracket stays with what it opens.
  const size_t bracket =
      begins_word && text.size() > 1 && std::string_view("([{").find(text[0]) != std::string_view::npos;
  size_t end = begins_word ? ArgumentEnd(text.substr(bracket)) : 0;
  if (end > 0) end += bracket;
  if (end > 0) return text.substr(0, end);
  while (end < text.size() && text[end] != ' ') {
    const size_t bytes = CharacterBytes(text.substr(end));
    const bool is_wide = bytes >= 3 && !in_command && DisplayWidth(text.substr(end, bytes)) == 2;
    if (is_wide) return text.substr(0, end == 0 ? bytes : end);
    if (text[end] == '`') in_command = !in_command;
    end += bytes;
  }
  return text.substr(0, std::max<size_t>(end, 1));
}

}  // namespace

void Table::AddRow(std::vector<std::string> cells) {
  FT_CHECK(cells.size() == columns_.size()) << cells.size() << " cells, " << columns_.size() << " columns";
  for (std::string& cell : cells) cell = Printable(cell);
  rows_.push_back(std::move(cells));
}

std::vector<int> Table::Widths(int available) const {
  std::vector<int> widths;
  int total = kGap * (static_cast<int>(columns_.size()) - 1);
  for (size_t i = 0; i < columns_.size(); ++i) {
    int width = DisplayWidth(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(row[i]));
    widths.push_back(width);
    total += width;
  }
  while (total > available) {
    int widest = -1;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const bool can_shrink = columns_[i].may_cut && widths[i] > columns_[i].min_width;
      if (can_shrink && (widest < 0 || widths[i] > widths[static_cast<size_t>(widest)]))
        widest = static_cast<int>(i);
    }
    if (widest < 0) break;
    --widths[static_cast<size_t>(widest)];
    --total;
  }
  return widths;
}

std::string Table::Render(const Terminal& terminal) const {
  const std::vector<int> widths = Widths(terminal.columns);
  const std::string_view mark = terminal.utf8 ? "…" : "~";
  std::string out;
  const auto add_line = [&](const auto& cell_of) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string cell = CutToWidth(cell_of(i), widths[i], mark);
      if (i > 0) line.append(kGap, ' ');
      line += columns_[i].align == Align::kRight ? PadLeft(cell, widths[i]) : PadRight(cell, widths[i]);
    }
    DropTrailingSpaces(line);
    out += line + "\n";
  };
  add_line([&](size_t i) -> const std::string& { return columns_[i].title; });
  for (const auto& row : rows_) {
    add_line([&row](size_t i) -> const std::string& { return row[i]; });
  }
  return out;
}

std::string RenderFields(const std::vector<std::pair<std::string, std::string>>& fields) {
  int width = 0;
  for (const auto& [key, value] : fields) {
    if (!value.empty()) width = std::max(width, DisplayWidth(key) + 1);
  }
  std::string out;
  for (const auto& [key, value] : fields) {
    if (!value.empty()) out += PadRight(key + ":", width + 1) + Printable(value) + "\n";
  }
  return out;
}

std::string Wrap(std::string_view text, int width, int indent) {
  std::string out;
  int used = 0;
  bool after_break = false, in_command = false;
  char before = ' ';
  while (!text.empty()) {
    const bool begins_word = before == ' ' || before == '(' || before == '[' || before == '{';
    const std::string_view piece = NextPiece(text, begins_word, in_command);
    if (std::count(piece.begin(), piece.end(), '`') % 2 == 1) in_command = !in_command;
    before = piece.back();
    const int columns = DisplayWidth(piece);
    if (used > indent && used + columns > width && piece != " ") {
      DropTrailingSpaces(out);
      out += "\n" + std::string(static_cast<size_t>(indent), ' ');
      used = indent;
      after_break = true;
    }
    if (piece != " " || !after_break) {
      out += piece;
      used += columns;
      after_break = false;
    }
    text.remove_prefix(piece.size());
  }
  return out;
}

std::string WrapLines(std::string_view lines, const Terminal& terminal) {
  constexpr int kIndent = 6;
  std::string out;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    out += terminal.interactive ? Wrap(line, terminal.columns, kIndent) : std::string(line);
    if (end < lines.size()) out += "\n";
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return out;
}

}  // namespace ft::client
