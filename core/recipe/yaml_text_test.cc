#include "core/recipe/yaml_text.h"

#include <gtest/gtest.h>

#include "core/recipe/yaml_tree.h"

namespace ft::recipe {
namespace {

using Json = nlohmann::ordered_json;

TEST(YamlTextTest, ReadsBackAsTheSameTree) {
  const Json tree = {{"name", "医疗问答"},
                     {"empty", ""},
                     {"fit", "off"},
                     {"number", "12"},
                     {"marks", "a: b # c"},
                     {"lines", "one\ntwo\t\"three\""},
                     {"blank", " x"},
                     {"rate", 1e-8},
                     {"betas", {0.9, 0.999}},
                     {"whole", 65536},
                     {"none", nullptr},
                     {"flag", true},
                     {"texts", {"q_proj", "今有鸡兔同笼， 问", "-"}},
                     {"nothing", Json::array()},
                     {"no_keys", Json::object()},
                     {"data",
                      {{{"source", "hf://a/b"}, {"map", {{"kind", "alpaca"}, {"system", "S\n"}}}},
                       {{"source", "x.jsonl"}}}}};
  const std::string text = ToYaml(tree);
  const YamlTree read = ReadYaml(text);
  ASSERT_TRUE(read.problems.empty()) << read.problems[0].message << "\n" << text;
  EXPECT_EQ(read.root, tree) << text;
}

TEST(YamlTextTest, IsWhatPeopleWrite) {
  EXPECT_EQ(ToYaml({{"method", {{"kind", "qlora"}, {"targets", {"all_linear"}}}},
                    {"data", {{{"source", "d"}, {"split", "train"}}}}}),
            "method:\n  kind: qlora\n  targets: [all_linear]\ndata:\n  - source: d\n    split: train\n");
  EXPECT_EQ(ToYamlScalar(1e-8), "1.0e-08");  // Readers of YAML 1.1 take 1e-08 for text.
  EXPECT_EQ(ToYamlScalar("off"), "\"off\"");
}

}  // namespace
}  // namespace ft::recipe
