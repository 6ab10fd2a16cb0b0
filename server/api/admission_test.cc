#include "server/api/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/recipe/json.h"
#include "tests/support/temp_dir.h"

namespace ft::api {
namespace {

using ::testing::HasSubstr;

StatusOr<Admitted> AdmitText(const std::string& yaml) {
  finetune::v1::CreateJobRequest request;
  request.mutable_job()->set_config_yaml(yaml);
  return Admit(request, {});
}

TEST(AdmissionTest, RecipesOfTheProgramAreKnownAndFilesAreNot) {
  const auto refused = AdmitText(
      "recipe: llama2_7b_qlora_oasst1_e3\nmodel: {encode_special_tokens: true}\ntrain: {tokenize: whole}\n");
  EXPECT_TRUE(absl::IsUnimplemented(refused.status())) << refused.status();
  EXPECT_THAT(std::string(Message(refused.status())),
              HasSubstr("model.encode_special_tokens is not supported yet"));
  const auto admitted = AdmitText("recipe: llama2_7b_qlora_oasst1_e3\nmodel: /m\ndata: /d.jsonl\n");
  ASSERT_TRUE(admitted.ok()) << admitted.status();
  const auto spec = recipe::FromJson(admitted->config.resolved_config_json());
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->method.rank, 64);
  EXPECT_EQ(spec->data[0].template_name, "llama2_chat@0.1.9");
  EXPECT_EQ(spec->recipe, "");
  EXPECT_THAT(std::string(Message(AdmitText("recipe: /mine.yaml\n").status())),
              HasSubstr("recipe files such as /mine.yaml are read by ftctl: send the whole job file"));
  EXPECT_THAT(std::string(Message(AdmitText("recipe: llama2\n").status())),
              HasSubstr("there is no recipe 'llama2'"));
}

TEST(AdmissionTest, UploadsBecomePathsAndWhatIsNoneIsRefused) {
  const ft::testing::TempDir dir;
  const std::string digest(64, 'a');
  ASSERT_TRUE(MakeDirectories(dir / digest).ok());
  ASSERT_TRUE(WriteFileDurably(dir / digest / "qa.jsonl", "{}").ok());
  const auto admit = [&](const std::string& source) -> StatusOr<std::string> {
    finetune::v1::CreateJobRequest request;
    request.mutable_job()->set_config_yaml(StrCat("model: /m\ndata: ", source, "\n"));
    ASSIGN_OR_RETURN(const Admitted admitted, Admit(request, {.uploads = dir.path()}));
    ASSIGN_OR_RETURN(const recipe::JobSpec spec, recipe::FromJson(admitted.config.resolved_config_json()));
    return spec.data[0].source;
  };
  EXPECT_EQ(*admit(StrCat("upload://", digest, "/qa.jsonl")), (dir / digest / "qa.jsonl").string());
  EXPECT_THAT(std::string(Message(admit(StrCat("upload://", digest, "/b.jsonl")).status())),
              HasSubstr("has not been uploaded completely: upload it again"));
  for (const std::string& source :
       {StrCat(digest, "/.."), StrCat(digest, "/../../b"), std::string("abc/b.jsonl")}) {
    EXPECT_THAT(std::string(Message(admit("upload://" + source).status())),
                HasSubstr("is not upload://SHA256/FILE"));
  }
}

// A job of a model and data below `dir`, the only root, with more lines.
Status AdmitBelow(const ft::testing::TempDir& dir, const std::string& more) {
  finetune::v1::CreateJobRequest request;
  request.mutable_job()->set_config_yaml(
      StrCat("model: ", (dir / "m").string(), "\ndata: ", (dir / "d.jsonl").string(), "\n", more));
  return Admit(request, {.roots = {dir.path().string()}}).status();
}

TEST(AdmissionTest, BenchmarksLieWithinTheRoots) {
  const ft::testing::TempDir dir;
  const auto admit = [&](const std::string& set) {
    return AdmitBelow(dir, StrCat("train: {evaluate: {sets: [", set, "]}}\n"));
  };
  EXPECT_TRUE(admit((dir / "q.json").string()).ok());
  EXPECT_THAT(std::string(Message(admit("mmlu_five_shot"))),
              HasSubstr("train.evaluate.sets: 'mmlu_five_shot' is a relative path"));
  EXPECT_THAT(
      std::string(Message(admit("/elsewhere/q.json"))),
      HasSubstr(
          "train.evaluate.sets: '/elsewhere/q.json' is outside the folders this coordinator reads from"));
}

TEST(AdmissionTest, FilesOfAnEvaluationLieWithinTheRoots) {
  const ft::testing::TempDir dir;
  for (const std::string key : {"prompt_files", "perplexity"}) {
    const auto admit = [&](const std::string& file) {
      return AdmitBelow(dir, StrCat("train: {evaluate: {", key, ": [\"", file, "\"]}}\n"));
    };
    EXPECT_TRUE(admit((dir / "q.txt").string()).ok());
    EXPECT_THAT(std::string(Message(admit("q.txt"))),
                HasSubstr(StrCat("train.evaluate.", key, ": 'q.txt' is a relative path")));
    EXPECT_THAT(std::string(Message(admit("/elsewhere/q.txt"))),
                HasSubstr(StrCat("train.evaluate.", key, ": '/elsewhere/q.txt' is outside the folders")));
    EXPECT_THAT(std::string(Message(admit("upload://abc/q.txt"))), HasSubstr("is not upload://SHA256/FILE"));
  }
}

// A job may start with an adapter only where it may read a model.
TEST(AdmissionTest, AnEarlierAdapterLiesWithinTheRoots) {
  const ft::testing::TempDir dir;
  const auto admit = [&](const std::string& adapter) {
    return AdmitBelow(dir, StrCat("method: {init_from: ", adapter, "}\n"));
  };
  EXPECT_TRUE(admit((dir / "a").string()).ok());
  EXPECT_THAT(std::string(Message(admit("a"))), HasSubstr("method.init_from: 'a' is a relative path"));
  EXPECT_THAT(
      std::string(Message(admit("/elsewhere/a"))),
      HasSubstr("method.init_from: '/elsewhere/a' is outside the folders this coordinator reads from"));
}

TEST(AdmissionTest, HubTokensAreKeptForJobsThatUseThem) {
  const auto admit = [](const std::string& model, const std::string& token) {
    finetune::v1::CreateJobRequest request;
    request.mutable_job()->set_config_yaml(StrCat("model: ", model, "\ndata: /d.jsonl\n"));
    request.mutable_hub_tokens()->set_huggingface(token);
    return Admit(request, {.roots = {"/"}});
  };
  const auto far = admit("hf://a/b@v1", "hf_secret");
  ASSERT_TRUE(far.ok()) << far.status();
  EXPECT_EQ(far->row.hub_tokens().huggingface(), "hf_secret");
  EXPECT_EQ(recipe::FromJson(far->config.resolved_config_json())->model.source, "hf://a/b@v1");
  for (const std::string& text :
       {far->config.resolved_config_json(), far->config.config_yaml(), far->row.job().SerializeAsString()}) {
    EXPECT_EQ(text.find("hf_secret"), std::string::npos);
  }
  EXPECT_FALSE(admit("/m", "hf_secret")->row.has_hub_tokens());
  const Status refused = admit("hf://a/b", "two words").status();
  EXPECT_THAT(std::string(Message(refused)), HasSubstr("hub_tokens.huggingface: is no token"));
  EXPECT_EQ(Message(refused).find("two words"), std::string_view::npos);
}

}  // namespace
}  // namespace ft::api
