#include "client/commands/help_text.h"

#include <CLI/CLI.hpp>

#include "client/render/sentences.h"
#include "client/render/templates.h"

namespace ft::client {

void ChangeHelp(CLI::App& app, const std::function<std::string(const std::string&)>& change) {
  const auto changed = [&change](const std::string& text) { return text.empty() ? text : change(text); };
  app.description(changed(app.get_description()));
  app.footer(changed(app.get_footer()));
  if (app.get_parent() != nullptr) app.group(changed(app.get_group()));
  for (CLI::Option* option : app.get_options()) {
    option->description(changed(option->get_description()));
    option->group(changed(option->get_group()));
  }
  for (CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) ChangeHelp(*verb, change);
}

namespace {

// "N:INT in [1 - 9]", as the parser describes a range, loses its words.
void LabelRanges(const CLI::App& app, CLI::FormatterBase& formatter) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string type = option->get_type_name();
    const size_t words = type.find(":INT") + 1, range = type.find('[');
    if (words > 0 && range != std::string::npos)
      formatter.label(type, type.substr(0, words) + type.substr(range));
  }
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    LabelRanges(*verb, formatter);
}

}  // namespace

void TranslateHelp(CLI::App& root, const Terminal& terminal) {
  ChangeHelp(root, [&terminal](const std::string& text) {
    const std::string said = PhraseInLanguage(terminal, HelpTexts(), text);
    return said == text ? PhraseInLanguage(terminal, CommandLineTemplates(), text) : said;
  });
  // All verbs have the root's formatter.
  CLI::FormatterBase& formatter = *root.get_formatter();
  formatter.label("Usage", "用法");
  formatter.label("OPTIONS", "选项");
  formatter.label("Positionals", "参数");
  formatter.label("Excludes", "不能同用");
  LabelRanges(root, formatter);
}

}  // namespace ft::client
