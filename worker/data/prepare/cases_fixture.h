// Data of the wild, prepared under a small model whose chat template is like SmolLM2's: it puts a system text
// of its own in front where the data has none.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "core/base/file.h"
#include "worker/data/prepare/prepare.h"
#include "worker/data/tokenizer/tiny_tokenizer.h"

namespace ft::prepare {

// TempDir: tests/support/temp_dir.h, which only tests include.
template <typename TempDir>
class CasesFixture : public ::testing::Test {
 protected:
  static constexpr const char* kTemplate =
      "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
      "{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}"
      "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

  CasesFixture() {
    request_.model = dir_ / "model";
    request_.roots.allowed = {dir_.path()};
    request_.spec.train.max_length = 2048;
    request_.spec.data.resize(1);
    WriteModel(kTemplate, "");
  }
  // `more`: further keys of config.json, with a comma in front.
  void WriteModel(const std::string& chat_template, const std::string& more) {
    nlohmann::json config = tokenizer::TinyTokenizerConfig();
    config["chat_template"] = chat_template;
    tokenizer::WriteTinyTokenizer(request_.model, tokenizer::TinyTokenizerJson(), config);
    ASSERT_TRUE(
        WriteFileDurably(request_.model / "config.json", StrCat("{\"vocab_size\": 267", more, "}")).ok());
  }
  recipe::DataSource& source() { return request_.spec.data[0]; }

  // The report, one line after the other, or the refusal; the temporary folder is cut out of it.
  std::string Report() {
    const auto report = Prepare(request_);
    std::string text;
    if (report.ok()) {
      for (const std::string& line : report->lines) StrAppend(&text, line, "\n");
    } else {
      text = StrCat("REFUSED ", Message(report.status()));
    }
    const std::string folder = dir_.path().string() + "/";
    for (size_t at = 0; (at = text.find(folder, at)) != std::string::npos;) text.erase(at, folder.size());
    return text;
  }
  std::string Report(const std::string& name, std::string_view content) {
    EXPECT_TRUE(WriteFileDurably(dir_ / name, content).ok());
    source().source = (dir_ / name).string();
    return Report();
  }
  // What the report of `name` shows of the samples, without the template's own system text: messages as
  // "user: q | assistant: [a]", learnt parts in brackets, samples on lines of their own.
  std::string Samples(const std::string& name, std::string_view content) {
    return Shorter(Report(name, content));
  }

  static std::string Shorter(std::string text) {
    if (text.starts_with("REFUSED")) return text;
    std::string out;
    for (size_t at = text.find("Sample "); at != std::string::npos; at = text.find("\nSample ", at)) {
      const size_t begin = text.find('\n', at + 1) + 1;
      const size_t end = std::min(text.find("\nSample ", begin), text.size());
      out += text.substr(begin, end - begin) + "\n";
      at = end == text.size() ? std::string::npos : end - 1;
      if (at == std::string::npos) break;
    }
    const auto replace = [&](std::string_view what, std::string_view by) {
      for (size_t at = 0; (at = out.find(what, at)) != std::string::npos; at += by.size())
        out.replace(at, what.size(), by);
    };
    replace("<|im_start|>system\nBe kind.<|im_end|>\n", "");
    replace("<|im_end|>⟧\n", "] | ");
    replace("<|im_end|>\n", " | ");
    replace("<|im_start|>system\n", "system: ");
    replace("<|im_start|>user\n", "user: ");
    replace("<|im_start|>assistant\n", "assistant: ");
    replace("⟦", "[");
    replace(" | \n", "\n");
    while (out.ends_with('\n')) out.pop_back();
    if (out.ends_with(" | ")) out.resize(out.size() - 3);
    return out;
  }

  TempDir dir_;
  PrepareRequest request_;
};

}  // namespace ft::prepare
