#include "worker/data/tokenizer/hf_text_steps.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace ft::tokenizer {
namespace {

using nlohmann::json;

// The members of a Sequence, or the component itself.
StatusOr<std::vector<JsonObject>> Components(const JsonObject& object, const char* list_key) {
  ASSIGN_OR_RETURN(const std::string type, TypeOf(object));
  if (type != "Sequence") return std::vector<JsonObject>{object};
  ASSIGN_OR_RETURN(const json* list, object.Array(list_key));
  if (list == nullptr) return object.Fail(list_key, "is missing");
  std::vector<JsonObject> components;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string name = StrCat(list_key, "[", i, "]");
    if (!(*list)[i].is_object()) return object.Fail(name, "is not an object");
    components.push_back({&(*list)[i], object.file, object.Path(name)});
  }
  return components;
}

struct Pattern {
  std::string text;
  bool is_literal = false;
};

StatusOr<Pattern> ReadPattern(const JsonObject& component) {
  ASSIGN_OR_RETURN(const std::optional<JsonObject> pattern, component.Object("pattern"));
  if (!pattern) return component.Fail("pattern", "is missing");
  ASSIGN_OR_RETURN(std::optional<std::string> expression, pattern->String("Regex"));
  if (expression) return Pattern{*std::move(expression), false};
  ASSIGN_OR_RETURN(std::optional<std::string> literal, pattern->String("String"));
  if (!literal) return component.Fail("pattern", "holds neither Regex nor String");
  if (literal->empty()) return component.Fail("pattern", "is empty");
  return Pattern{*std::move(literal), true};
}

StatusOr<Regex> Compile(const JsonObject& component, std::string_view expression) {
  StatusOr<Regex> regex = Regex::Compile(expression);
  if (!regex.ok())
    return WithContext(regex.status(), StrCat(component.file, ": ", component.Path("pattern")));
  return regex;
}

// Text that the file wants put into every text.
StatusOr<std::string> ReadInserted(const JsonObject& component, const char* key) {
  ASSIGN_OR_RETURN(std::optional<std::string> text, component.String(key));
  if (!text) return component.Fail(key, "is missing");
  if (text->size() > kMaxAddedTokenBytes)
    return component.Fail(key, StrCat("is longer than ", kMaxAddedTokenBytes, " bytes"));
  return *std::move(text);
}

StatusOr<Normalizer::Step> ReadReplace(const JsonObject& component) {
  ASSIGN_OR_RETURN(Pattern pattern, ReadPattern(component));
  ASSIGN_OR_RETURN(std::string content, ReadInserted(component, "content"));
  ReplaceText replace{.content = std::move(content)};
  if (pattern.is_literal) {
    replace.literal = std::move(pattern.text);
  } else {
    ASSIGN_OR_RETURN(Regex regex, Compile(component, pattern.text));
    replace.pattern = std::make_shared<Regex>(std::move(regex));
  }
  return Normalizer::Step(std::move(replace));
}

Status ReadNormalizer(const JsonObject& root, TextSteps* steps) {
  ASSIGN_OR_RETURN(const std::optional<JsonObject> normalizer, root.Object("normalizer"));
  if (!normalizer) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<JsonObject> components, Components(*normalizer, "normalizers"));
  const std::pair<std::string_view, Normalization> forms[] = {{"NFC", Normalization::kNfc},
                                                              {"NFD", Normalization::kNfd},
                                                              {"NFKC", Normalization::kNfkc},
                                                              {"NFKD", Normalization::kNfkd}};
  for (const JsonObject& component : components) {
    ASSIGN_OR_RETURN(const std::string type, TypeOf(component));
    const auto* form =
        std::find_if(std::begin(forms), std::end(forms), [&](const auto& one) { return one.first == type; });
    if (form != std::end(forms)) {
      steps->normalizer.Add(form->second);
    } else if (type == "Prepend") {
      ASSIGN_OR_RETURN(std::string text, ReadInserted(component, "prepend"));
      steps->normalizer.Add(PrependText{std::move(text)});
    } else if (type == "Replace") {
      ASSIGN_OR_RETURN(Normalizer::Step replace, ReadReplace(component));
      steps->normalizer.Add(std::move(replace));
    } else {
      return Unsupported(component, type);
    }
  }
  return absl::OkStatus();
}

std::string QuoteForRegex(std::string_view literal) {
  std::string pattern;
  for (const char c : literal) {
    if (std::string_view(R"(\^$.|?*+()[]{}#-&/)").find(c) != std::string_view::npos) pattern.push_back('\\');
    pattern.push_back(c);
  }
  return pattern;
}

StatusOr<SplitBehavior> ReadBehavior(const JsonObject& split) {
  ASSIGN_OR_RETURN(const std::optional<std::string> name, split.String("behavior"));
  const std::pair<std::string_view, SplitBehavior> known[] = {
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  for (const auto& [text, behavior] : known) {
    if (name == text) return behavior;
  }
  return split.Fail("behavior", StrCat("\"", name.value_or(""), "\" is not supported"));
}

Status AddSplit(const JsonObject& split, TextSteps* steps) {
  ASSIGN_OR_RETURN(const Pattern pattern, ReadPattern(split));
  ASSIGN_OR_RETURN(Regex regex,
                   Compile(split, pattern.is_literal ? QuoteForRegex(pattern.text) : pattern.text));
  ASSIGN_OR_RETURN(const SplitBehavior behavior, ReadBehavior(split));
  ASSIGN_OR_RETURN(const std::optional<bool> invert, split.Bool("invert"));
  steps->pre_tokenizer.Add(
      {.regex = std::move(regex), .behavior = behavior, .invert = invert.value_or(false)});
  return absl::OkStatus();
}

Status AddDigits(const JsonObject& digits, TextSteps* steps) {
  ASSIGN_OR_RETURN(const std::optional<bool> individual, digits.Bool("individual_digits"));
  ASSIGN_OR_RETURN(Regex regex, Regex::Compile(kDigitPattern));
  steps->pre_tokenizer.Add(
      {.regex = std::move(regex),
       .behavior = individual.value_or(false) ? SplitBehavior::kIsolated : SplitBehavior::kContiguous});
  return absl::OkStatus();
}

Status AddByteLevel(const JsonObject& byte_level, TextSteps* steps) {
  ASSIGN_OR_RETURN(const std::optional<bool> prefix, byte_level.Bool("add_prefix_space"));
  ASSIGN_OR_RETURN(const std::optional<bool> use_regex, byte_level.Bool("use_regex"));
  if (prefix.value_or(true)) {
    if (!steps->pre_tokenizer.empty() || !steps->mark.text.empty())
      return byte_level.Fail("add_prefix_space", "after another pre-tokenizer is not supported");
    steps->mark.text = " ";
  }
  if (use_regex.value_or(true)) RETURN_IF_ERROR(steps->pre_tokenizer.AddPattern(kGpt2Pattern));
  steps->byte_level = true;
  return absl::OkStatus();
}

// Metaspace of a pre-tokenizer or a decoder: whether a mark is put in front, and where.
StatusOr<std::string> PrependScheme(const JsonObject& metaspace) {
  ASSIGN_OR_RETURN(const std::optional<std::string> mark, metaspace.String("replacement"));
  if (mark.value_or(std::string(kSpaceMark)) != kSpaceMark)
    return metaspace.Fail("replacement",
                          StrCat("\"", *mark, "\" is not supported; only \"", kSpaceMark, "\" is"));
  ASSIGN_OR_RETURN(const std::optional<std::string> scheme, metaspace.String("prepend_scheme"));
  // Older files say it with another key.
  ASSIGN_OR_RETURN(const std::optional<bool> prefix, metaspace.Bool("add_prefix_space"));
  const std::string said = scheme.value_or(prefix.value_or(true) ? "always" : "never");
  if (said != "always" && said != "first" && said != "never")
    return metaspace.Fail("prepend_scheme", StrCat("\"", said, "\" is not supported"));
  return said;
}

Status AddMetaspace(const JsonObject& metaspace, TextSteps* steps) {
  if (!steps->pre_tokenizer.empty() || !steps->mark.text.empty())
    return metaspace.Fail("type", "\"Metaspace\" after another pre-tokenizer is not supported");
  ASSIGN_OR_RETURN(const std::string scheme, PrependScheme(metaspace));
  steps->mark = {.text = std::string(kSpaceMark),
                 .prepends = scheme != "never",
                 .first_only = scheme == "first",
                 .marks_spaces = true};
  ASSIGN_OR_RETURN(const std::optional<bool> split, metaspace.Bool("split"));
  if (!split.value_or(true)) return absl::OkStatus();
  ASSIGN_OR_RETURN(Regex mark, Regex::Compile(kSpaceMark));
  steps->pre_tokenizer.Add({.regex = std::move(mark), .behavior = SplitBehavior::kMergedWithNext});
  return absl::OkStatus();
}

Status ReadPreTokenizer(const JsonObject& root, TextSteps* steps) {
  ASSIGN_OR_RETURN(const std::optional<JsonObject> pre_tokenizer, root.Object("pre_tokenizer"));
  if (!pre_tokenizer) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<JsonObject> components, Components(*pre_tokenizer, "pretokenizers"));
  for (const JsonObject& component : components) {
    ASSIGN_OR_RETURN(const std::string type, TypeOf(component));
    // What follows ByteLevel would see its alphabet instead of the text.
    if (steps->byte_level)
      return component.Fail("type", StrCat("\"", type, "\" after ByteLevel is not supported"));
    if (type == "Split") {
      RETURN_IF_ERROR(AddSplit(component, steps));
    } else if (type == "Digits") {
      RETURN_IF_ERROR(AddDigits(component, steps));
    } else if (type == "ByteLevel") {
      RETURN_IF_ERROR(AddByteLevel(component, steps));
    } else if (type == "Metaspace") {
      RETURN_IF_ERROR(AddMetaspace(component, steps));
    } else {
      return Unsupported(component, type);
    }
  }
  return absl::OkStatus();
}

Status ReadReplaceDecoder(const JsonObject& component, Decoder* decoder) {
  ASSIGN_OR_RETURN(const Pattern pattern, ReadPattern(component));
  ASSIGN_OR_RETURN(const std::optional<std::string> content, component.String("content"));
  if (!pattern.is_literal || pattern.text != kSpaceMark || content != " ")
    return component.Fail("pattern", StrCat("is not supported; only a decoder that replaces \"", kSpaceMark,
                                            "\" by a space is"));
  decoder->space_marks = true;
  return absl::OkStatus();
}

Status ReadStripDecoder(const JsonObject& component, Decoder* decoder) {
  ASSIGN_OR_RETURN(const std::optional<std::string> content, component.String("content"));
  ASSIGN_OR_RETURN(const std::optional<int64_t> start, component.Integer("start"));
  ASSIGN_OR_RETURN(const std::optional<int64_t> stop, component.Integer("stop"));
  if (content != " " || start.value_or(0) > 1 || start.value_or(0) < 0 || stop.value_or(0) != 0)
    return component.Fail("content", "is not supported; only a decoder that strips one space in front is");
  decoder->strips_first_space = start.value_or(0) == 1;
  return absl::OkStatus();
}

Status ReadDecoder(const JsonObject& root, TextSteps* steps) {
  ASSIGN_OR_RETURN(const std::optional<JsonObject> decoder, root.Object("decoder"));
  if (!decoder) return root.Fail("decoder", "is missing, which is not supported");
  ASSIGN_OR_RETURN(const std::vector<JsonObject> components, Components(*decoder, "decoders"));
  for (const JsonObject& component : components) {
    ASSIGN_OR_RETURN(const std::string type, TypeOf(component));
    if (type == "Fuse" || (type == "ByteLevel" && steps->byte_level)) continue;
    if (type == "ByteFallback") {
      steps->decodes_bytes = true;
    } else if (type == "Replace") {
      RETURN_IF_ERROR(ReadReplaceDecoder(component, &steps->decoder));
    } else if (type == "Strip") {
      RETURN_IF_ERROR(ReadStripDecoder(component, &steps->decoder));
    } else if (type == "Metaspace") {
      ASSIGN_OR_RETURN(const std::string scheme, PrependScheme(component));
      steps->decoder.space_marks = true;
      steps->decoder.strips_first_space = scheme != "never";
    } else {
      return Unsupported(component, type);
    }
  }
  return absl::OkStatus();
}

// The tokens that TemplateProcessing puts before the text.
Status ReadTemplate(const JsonObject& processor, std::vector<std::string>* in_front) {
  ASSIGN_OR_RETURN(const json* single, processor.Array("single"));
  in_front->clear();
  for (size_t i = 0; single != nullptr && i < single->size(); ++i) {
    const std::string place = StrCat("single[", i, "]");
    if (!(*single)[i].is_object()) return processor.Fail(place, "is not an object");
    const JsonObject part{&(*single)[i], processor.file, processor.Path(place)};
    ASSIGN_OR_RETURN(const std::optional<JsonObject> special, part.Object("SpecialToken"));
    if (!special) break;
    ASSIGN_OR_RETURN(std::optional<std::string> content, special->String("id"));
    if (!content) return special->Fail("id", "is missing");
    in_front->push_back(*std::move(content));
  }
  return absl::OkStatus();
}

Status ReadPostProcessor(const JsonObject& root, TextSteps* steps) {
  ASSIGN_OR_RETURN(const std::optional<JsonObject> processor, root.Object("post_processor"));
  if (!processor) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<JsonObject> components, Components(*processor, "processors"));
  for (const JsonObject& component : components) {
    ASSIGN_OR_RETURN(const std::string type, TypeOf(component));
    if (type == "ByteLevel") continue;
    if (type != "TemplateProcessing") return Unsupported(component, type);
    RETURN_IF_ERROR(ReadTemplate(component, &steps->in_front));
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::string> TypeOf(const JsonObject& object) {
  ASSIGN_OR_RETURN(std::optional<std::string> type, object.String("type"));
  if (!type) return object.Fail("type", "is missing");
  return *std::move(type);
}

Status Unsupported(const JsonObject& object, std::string_view type) {
  return object.Fail("type", StrCat("\"", type, "\" is not supported"));
}

StatusOr<TextSteps> ReadTextSteps(const JsonObject& root) {
  TextSteps steps;
  RETURN_IF_ERROR(ReadNormalizer(root, &steps));
  RETURN_IF_ERROR(ReadPreTokenizer(root, &steps));
  RETURN_IF_ERROR(ReadDecoder(root, &steps));
  RETURN_IF_ERROR(ReadPostProcessor(root, &steps));
  return steps;
}

}  // namespace ft::tokenizer
