#include "worker/data/jinja/jinja.h"

#include <gtest/gtest.h>

#include <ctime>
#include <vector>

#include "worker/data/jinja/jinja_fixture.h"

namespace ft::data {
namespace {

using jinja::Dict;
using jinja::Value;

Dict Variables() {
  Dict variables = ChatVariables("Hi");
  variables.Set("n", Value::Int(7));
  variables.Set("word", Value::String("Grüße 你好"));
  return variables;
}

StatusOr<JinjaTemplate::Output> Render(std::string_view source, const JinjaOptions& options = {}) {
  ASSIGN_OR_RETURN(const JinjaTemplate parsed, JinjaTemplate::Parse(source));
  return parsed.Render(Variables(), options);
}

struct Case {
  std::string_view source;
  std::string_view expected;  // What Jinja2 3.1 prints with trim_blocks and lstrip_blocks.
};

constexpr Case kJinja2Cases[] = {
    {"a{{ n }}b", "a7b"},
    {"{{ messages[0].role }}/{{ messages[1]['content'] }}/{{ messages[-1].role }}", "system/Hi/assistant"},
    {"{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }};{% endfor %}",
     "10TrueFalse;21FalseFalse;32FalseTrue;"},
    {"{% for m in messages[1:] %}{{ m.role }},{% else %}none{% endfor %}", "user,assistant,"},
    {"{% for m in [] %}x{% else %}none{% endfor %}", "none"},
    {"{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}", "a=1;b=2;"},
    {"{% for m in messages if m.role != 'user' %}{{ loop.index }}{{ m.role }} {% endfor %}",
     "1system 2assistant "},
    {"{% for m in messages %}{% if loop.index == 2 %}{% continue %}{% endif %}{{ m.role }}{% if loop.last "
     "%}{% break %}{% endif %}{% endfor %}",
     "systemassistant"},
    {"{% set ns = namespace(found=false, n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% if "
     "m.role == 'user' %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }} {{ ns.n }}",
     "True 3"},
    {"{% set x = 1 %}{% for m in messages %}{% set x = 2 %}{% endfor %}{{ x }}", "1"},
    {"{% if n > 5 and not tools %}big{% elif n == 5 %}five{% else %}small{% endif %}", "big"},
    {"{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 + 3 * 4 }} {{ (2 + 3) * 4 }} {{ 1 - 2 - 3 "
     "}}",
     "3 -4 2 -2 14 20 -4"},
    {"{{ 'a' ~ 1 ~ none ~ true }}|{{ 'a' + 'b' }}|{{ [1] + [2] == [1, 2] }}", "a1NoneTrue|ab|True"},
    {"{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 'b' in 'abc' }} {{ 'x' not in ['x'] }} {{ 'role' in messages[0] "
     "}} {{ 1 == true }} {{ 'a' == 1 }}",
     "True False True False True True False"},
    {"{{ missing is defined }} {{ missing is not defined }} {{ tools is none }} {{ n is string }} {{ "
     "messages is iterable }} {{ messages[0] is mapping }} {{ n is odd }} {{ n is divisibleby 7 }}",
     "False True True False True True True True"},
    {"[{{ missing }}] {{ missing | default('d') }} {{ '' | default('e', true) }} {{ missing or 'f' }} {{ "
     "messages[9] is defined }}",
     "[] d e f False"},
    {"{{ 'yes' if n == 7 else 'no' }} {{ 'yes' if n == 8 }}|", "yes |"},
    {"{{ ' x ' | trim }}|{{ messages | length }}|{{ word | length }}|{{ word | upper }}|{{ word | lower "
     "}}|{{ ['a', 'b'] | join('-') }}|{{ messages | first == messages[0] }}",
     "x|3|8|GRÜSSE 你好|grüße 你好|a-b|True"},
    {"{{ messages[0] | tojson }} {{ {'a': [1, true, none, 'ä\"\\n']} | tojson(indent=2) }}",
     "{\"role\": \"system\", \"content\": \"Be brief.\"} {\n  \"a\": [\n    1,\n    true,\n    null,\n    "
     "\"ä\\\"\\n\"\n  ]\n}"},
    {"{{ word[0] }}{{ word[-1] }} {{ word[1:3] }} {{ word[::-1] }} {{ [1, 2, 3, 4][::2] | join }} {{ [1, "
     "2, 3][5:] | length }} {{ 'abc'[-2:] }}",
     "G好 rü 好你 eßürG 13 0 bc"},
    {"{{ 'a</think>b'.split('</think>')[-1] }} {{ '  a b  c '.split() | join(',') }} {{ 'xxaxx'.strip('x') "
     "}} {{ '\\nq\\n'.lstrip('\\n') }}|{{ 'abc'.startswith('ab') }} {{ 'aXbX'.replace('X', '-') }}",
     "b a,b,c a q\n|True a-b-"},
    {"{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join }} {{ messages "
     "| rejectattr('role', 'equalto', 'user') | list | length }}",
     "Hi 2"},
    {"{% set a, b = [1, 2] %}{{ b }}{{ a }}{% set block %}<{{ n }}>{% endset %}{{ block }}", "21<7>"},
    {"x\n{% if true %}\ny\n{% endif %}\nz\n", "x\ny\nz"},
    {"x\n   {% if true %}   \n  y\n   {% endif %}\nz", "x\n   \n  y\nz"},
    {"x  \n  {%- if true -%}  \n  y  {%+ endif %}\nz", "xy  z"},
    {"a {#- gone -#} b{# gone #}\nc\n  {# alone #}\nd", "abc\nd"},
    {"  {{- n -}}  \n {{ n }}\n{{ n }}\n", "77\n7"},
    {"{{ '\\u00e9\\t\\'' }}{{ \"it's\" }}{{ 'one' 'two' }}", "é\t'it'sonetwo"},
    {"{{ {'items': 3}['items'] }} {{ {'a': {'b': 'c'}}.a.b }} {{ messages[0].get('name', 'nobody') }}",
     "3 c nobody"},
    {"{% if strftime_now is defined %}{{ strftime_now('%d') }}{% else %}26 Jul 2024{% endif %}",
     "26 Jul 2024"},
    {"{{ range(3) | join }} {{ range(1, 7, 2) | list | length }} {{ '5' | int + 1 }}", "012 3 6"},
    {"{{ not n == 7 }} {{ not missing }} {{ -n + 1 }} {{ n is defined and n > 3 }} {{ 'a' + 'b' | upper }}",
     "False True -6 True aB"},
    {"{% for a in [1, 2] %}{% for b in [3] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
     "1112"},
};

TEST(JinjaTest, PrintsWhatJinja2Prints) {
  for (const Case& each : kJinja2Cases) {
    const auto output = Render(each.source);
    ASSERT_TRUE(output.ok()) << each.source << ": " << output.status();
    EXPECT_EQ(output->text, each.expected) << each.source;
  }
}

TEST(JinjaTest, NamesThatArePrintedAsNothingAreReportedOnce) {
  const auto output = Render("{{ one }}{{ one }}{{ messages.x }}{{ bos_token }}{{ two }}");
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->undefined, (std::vector<std::string>{"one", "two"}));
}

TEST(JinjaTest, GenerationBlocksAreReported) {
  const auto output =
      Render("{% for m in messages %}[{% generation %}{{ m.role }}{% endgeneration %}]{% endfor %}");
  ASSERT_TRUE(output.ok()) << output.status();
  EXPECT_EQ(output->text, "[system][user][assistant]");
  EXPECT_EQ(output->generated, (std::vector<OutputRange>{{1, 7}, {9, 13}, {15, 24}}));
}

// What a template may not do, and a part of the message that says so.
TEST(JinjaTest, RefusesByConstructAndLine) {
  const std::vector<Case> cases = {
      {"{% include 'x' %}", "line 1: {% include %}"},
      {"{% extends 'x' %}", "{% extends %}"},
      {"\n\n{% block b %}{% endblock %}", "line 3: {% block %}"},
      {"\n{{ n | nosuchfilter }}", "line 2: the filter nosuchfilter"},
      {"{{ n is nosuchtest }}", "the test nosuchtest"},
      {"{{ word.encode() }}", "calling \"encode\", which is undefined"},
      {"{{ [].append(1) }}", "append"},
      {"{{ lipsum() }}", "calling \"lipsum\", which is undefined"},
      {"{{ strftime_now('%d') }}", "calling \"strftime_now\", which is undefined"},
      {"{{ word.__class__.__mro__ }}", "\"__class__\", which is undefined"},
      {"{{ missing.field }}", "\"missing\", which is undefined"},
      {"{{ missing + 'a' }}", "\"missing\", which is undefined"},
      {"{{ 'a' + 1 }}", "between a string and an integer"},
      {"{{ range(3) }}", "prints a range"},
      {"{{ [namespace()] }}", "puts a namespace into a list"},
      {"{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "takes not more than 1"},
      {"{% macro f(a) %}{% endmacro %}{{ f(b=2) }}", "takes no argument b"},
      {"{{ none | length }}", "taking the length of none"},
      {"{{ range(100001) | length }}", "longer than 100000"},
      {"{% set ns = namespace(_x=1) %}", "underscore"},
      {"{{ messages | map('upper') | last }}", "a generator"},
      {"{% set x %}{% generation %}lost{% endgeneration %}{% endset %}", "does not stand in the text"},
      {"{{ raise_exception('roles must alternate') }}", "roles must alternate"},
      {"{{ n ", "line 1: {{ is never closed"},
      {"{% if n %}", "{% endif %} is missing"},
      {"{% endfor %}", "{% endfor %}"},
      {"{# x", "{# is never closed"},
      {"{{ 'x }}", "a string is never closed"},
      {"{{ (n] }}", "unexpected \"]\""},
      {"{{ n n }}", "unexpected \"n\""},
      {"{% break %}", "outside a loop"},
      {"{{ 9223372036854775807 + 1 }}", "64 bits"},
      {"{{ 99999999999999999999 }}", "too large"},
      {"{{ n // 0 }}", "division by zero"},
      {"{{ n / 0.0 }}", "division by zero"},
      {"{{ 9223372036854775807 | round(-1) }}", "64 bits"},
      {"{{ -9223372036854775807 - 1 | abs - 2 }}", "64 bits"},
      {"{{ 10 ** 30 }}", "64 bits"},
  };
  for (const Case& each : cases) {
    const Status status = Render(each.source).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << each.source << ": " << status;
    EXPECT_NE(Message(status).find(each.expected), std::string_view::npos) << each.source << ": " << status;
  }
}

// How much slower than otherwise the sanitizers may be.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::clock_t kSlower = 20;
#else
constexpr std::clock_t kSlower = 1;
#endif

// Templates that would run for ever, end in an error within a second.
TEST(JinjaTest, StepsAndSizesHaveLimits) {
  for (const std::string_view source :
       {"{% for a in range(100000) %}{% for b in range(100000) %}{{ a }}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% for a in [1] recursive %}{{ loop([a]) }}{% endfor %}",
        "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{{ caller() }}{% endmacro %}{% call f() "
        "%}{% endcall %}",
        "{% set ns = namespace(s='abcdefgh') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor "
        "%}",
        "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s | replace('a', "
        "'aaaaaaaa') %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ "
        "ns.l | tojson }}",
        "{% set ns = namespace(l=[1], k=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% set "
        "ns.k = [ns.k, ns.k] %}"
        "{% endfor %}{{ ns.l == ns.k }}",
        "{% set s = 'a ' * 30000000 %}{% for i in range(100000) %}{{ s | length }}{{ s.split() | length }}{% "
        "endfor %}",
        "{{ 'a' * 10000000000 }}", "{{ [0] * 10000000000 }}", "{{ 'a'.center(100000000000) }}",
        "{% set s = 'a' * 60000000 %}{% for c in s %}{% endfor %}"}) {
    // Of the processor: others may be building.
    const std::clock_t begin = std::clock();
    const Status status = Render(source).status();
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << source << ": " << status;
    EXPECT_NE(Message(status).find("line 1"), std::string_view::npos) << status;
    EXPECT_LT(std::clock() - begin, kSlower * CLOCKS_PER_SEC) << source;
  }
}

TEST(JinjaTest, DeepNestingIsRefusedNotOverflown) {
  const std::string parentheses = "{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}";
  EXPECT_FALSE(JinjaTemplate::Parse(parentheses).ok());
  std::string sum = "{{ 1";
  for (int i = 0; i < 5000; ++i) sum += "+1";
  EXPECT_FALSE(JinjaTemplate::Parse(sum + " }}").ok());
  std::string negations = "{{ ";
  for (int i = 0; i < 5000; ++i) negations += "not ";
  EXPECT_FALSE(JinjaTemplate::Parse(negations + "1 }}").ok());
  std::string blocks;
  for (int i = 0; i < 5000; ++i) blocks += "{% if 1 %}";
  EXPECT_FALSE(JinjaTemplate::Parse(blocks).ok());
  EXPECT_FALSE(
      Render("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}")
          .ok());
}

TEST(JinjaTest, EveryTruncationEndsOrderly) {
  const std::string source =
      "{% for m in messages if m.role != 'x' %}{{ m['role'] ~ m.content | trim }}{# c #}{% if loop.last -%} "
      "a {%- else %}b"
      "{% endif %}{% endfor %}{% set x = {'a': [1, (2)]} %}{{ x.a[0:1] | join(',') if x is defined else none "
      "}}";
  for (size_t size = 0; size <= source.size(); ++size) {
    const auto output = Render(source.substr(0, size));
    EXPECT_TRUE(output.ok() || absl::IsInvalidArgument(output.status())) << output.status();
  }
  EXPECT_TRUE(Render(source).ok());
}

}  // namespace
}  // namespace ft::data
