#include "core/hub/wanted.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ft::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

std::vector<HubFile> Files(std::initializer_list<const char*> paths) {
  std::vector<HubFile> files;
  for (const char* path : paths) files.push_back({.path = path, .size = 1});
  return files;
}

std::vector<std::string> Paths(const StatusOr<std::vector<HubFile>>& files) {
  EXPECT_TRUE(files.ok()) << files.status();
  std::vector<std::string> paths;
  if (files.ok()) {
    for (const HubFile& file : *files) paths.push_back(file.path);
  }
  return paths;
}

std::string ErrorOf(const StatusOr<std::vector<HubFile>>& files) {
  return std::string(Message(files.status()));
}

TEST(HubWantedTest, OfAModelWhatTrainsAndWhatGoesBesideAMergedOne) {
  EXPECT_THAT(Paths(WantedOfModel(
                  Files({"config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json",
                         "pytorch_model.bin", "tokenizer.model", "modeling_x.py", "README.md", "x.gguf",
                         "onnx/model.onnx", "original/params.json", "consolidated.safetensors", "merges.txt",
                         "chat_template.jinja", "qwen.tiktoken"}))),
              UnorderedElementsAre("config.json", "model-00001-of-00002.safetensors",
                                   "model.safetensors.index.json", "tokenizer.model", "modeling_x.py",
                                   "merges.txt", "chat_template.jinja", "qwen.tiktoken"));
  EXPECT_THAT(Paths(WantedOfModel(Files({"config.json", "pytorch_model.bin", "training_args.bin"}))),
              UnorderedElementsAre("config.json", "pytorch_model.bin"));
  EXPECT_THAT(Paths(WantedOfModel(Files({"config.json", "consolidated.safetensors"}))),
              UnorderedElementsAre("config.json", "consolidated.safetensors"));
}

TEST(HubWantedTest, WhatIsNoModelSaysWhatThereIs) {
  EXPECT_THAT(ErrorOf(WantedOfModel(Files({"x.gguf"}))), HasSubstr("has no config.json"));
  EXPECT_THAT(ErrorOf(WantedOfModel(Files({"config.json", "x.gguf"}))),
              HasSubstr("has no weights (*.safetensors or *.bin); its files are config.json, x.gguf"));
}

TEST(HubWantedTest, OfDataOneKindOfFilesAndOneSplit) {
  const auto files = Files({"README.md", "dataset_infos.json", "data/train-00001.jsonl",
                            "data/train-00000.jsonl", "data/test-00000.jsonl", "extra.csv"});
  EXPECT_THAT(Paths(WantedOfData(files, {})),
              ElementsAre("data/train-00000.jsonl", "data/train-00001.jsonl"));
  EXPECT_THAT(Paths(WantedOfData(files, {.split = "test"})), ElementsAre("data/test-00000.jsonl"));
  EXPECT_THAT(Paths(WantedOfData(files, {.folder = "extra.csv"})), ElementsAre("extra.csv"));
  EXPECT_THAT(Paths(WantedOfData(files, {.folder = "data/"})), testing::SizeIs(2));
  EXPECT_THAT(Paths(WantedOfData(Files({"b.json", "a.json"}), {})), ElementsAre("a.json", "b.json"));
  EXPECT_THAT(
      Paths(WantedOfData(Files({"finetune/train_zh_0.json", "pretrain/train.json"}), {.subset = "finetune"})),
      ElementsAre("finetune/train_zh_0.json"));
  EXPECT_THAT(Paths(WantedOfData(Files({"strained.json", "constrain.json"}), {})),
              ElementsAre("constrain.json", "strained.json"));
}

TEST(HubWantedTest, APartThatIsNotThereIsNamed) {
  const auto files = Files({"train.jsonl", "test.jsonl"});
  EXPECT_THAT(ErrorOf(WantedOfData(files, {.split = "validation"})),
              HasSubstr("has no split: validation; its files are train.jsonl"));
  EXPECT_THAT(ErrorOf(WantedOfData(files, {.folder = "x"})), HasSubstr("has nothing below folder: x"));
  EXPECT_THAT(ErrorOf(WantedOfData(files, {.subset = "x"})), HasSubstr("has no subset: x"));
  EXPECT_THAT(ErrorOf(WantedOfData(Files({"README.md", "a.py"}), {})), HasSubstr("no file of data"));
}

}  // namespace
}  // namespace ft::hub
