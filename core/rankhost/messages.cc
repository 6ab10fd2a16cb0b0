#include "core/rankhost/messages.h"

#include "nlohmann/json.hpp"

namespace ft::rankhost {
namespace {

using Json = nlohmann::json;

Json ToJson(const RankKey& key) { return {{"job", key.job_id}, {"epoch", key.epoch}, {"rank", key.rank}}; }

RankKey KeyOf(const Json& json) {
  return {json.at("job").get<std::string>(), json.at("epoch").get<int64_t>(), json.at("rank").get<int>()};
}

struct Encoder {
  Json operator()(const Start& m) {
    return {{"is", "start"}, {"key", ToJson(m.key)}, {"argv", m.argv}, {"cwd", m.cwd}, {"stdout", m.stdout_path},
            {"stderr", m.stderr_path}};
  }
  Json operator()(const Signal& m) { return {{"is", "signal"}, {"key", ToJson(m.key)}, {"signal", m.signal}}; }
  Json operator()(const Forget& m) { return {{"is", "forget"}, {"key", ToJson(m.key)}}; }
  Json operator()(const Inventory& m) {
    Json ranks = Json::array();
    for (const RankInfo& rank : m.ranks) {
      ranks.push_back({{"key", ToJson(rank.key)}, {"pid", rank.pid}, {"exited", rank.exited}, {"status", rank.wait_status}});
    }
    return {{"is", "inventory"}, {"incarnation", m.incarnation}, {"boot_id", m.boot_id}, {"ranks", ranks}};
  }
  Json operator()(const Started& m) { return {{"is", "started"}, {"key", ToJson(m.key)}, {"pid", m.pid}}; }
  Json operator()(const StartFailed& m) { return {{"is", "start_failed"}, {"key", ToJson(m.key)}, {"message", m.message}}; }
  Json operator()(const Exited& m) { return {{"is", "exited"}, {"key", ToJson(m.key)}, {"status", m.wait_status}}; }
  Json operator()(const ControlSocket& m) { return {{"is", "control"}, {"key", ToJson(m.key)}}; }
};

Inventory InventoryOf(const Json& json) {
  Inventory inventory{json.at("incarnation").get<std::string>(), json.at("boot_id").get<std::string>(), {}};
  for (const Json& rank : json.at("ranks")) {
    inventory.ranks.push_back({KeyOf(rank.at("key")), rank.at("pid").get<int64_t>(), rank.at("exited").get<bool>(),
                               rank.at("status").get<int>()});
  }
  return inventory;
}

Message MessageOf(const Json& json) {
  const std::string is = json.at("is").get<std::string>();
  if (is == "inventory") return InventoryOf(json);
  const RankKey key = KeyOf(json.at("key"));
  if (is == "start") {
    return Start{key, json.at("argv").get<std::vector<std::string>>(), json.at("cwd").get<std::string>(),
                 json.at("stdout").get<std::string>(), json.at("stderr").get<std::string>()};
  }
  if (is == "signal") return Signal{key, json.at("signal").get<int>()};
  if (is == "forget") return Forget{key};
  if (is == "started") return Started{key, json.at("pid").get<int64_t>()};
  if (is == "start_failed") return StartFailed{key, json.at("message").get<std::string>()};
  if (is == "exited") return Exited{key, json.at("status").get<int>()};
  if (is == "control") return ControlSocket{key};
  throw Json::other_error::create(501, "unknown message " + is, nullptr);
}

}  // namespace

std::string Encode(const Message& message) {
  return std::visit(Encoder{}, message).dump(-1, ' ', false, Json::error_handler_t::replace);
}

StatusOr<Message> Decode(std::string_view text) {
  try {
    return MessageOf(Json::parse(text));
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(StrCat("not a message of supervisor or agent: ", error.what()));
  }
}

}  // namespace ft::rankhost
