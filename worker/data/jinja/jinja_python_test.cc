// What Jinja2 3.1.6 prints, in the environment of transformers 5.23 and CPython 3.11, for templates made for this purpose.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <span>

#include "worker/data/jinja/jinja.h"
#include "worker/data/jinja/jinja_json.h"

namespace ft::data {
namespace {

struct Case {
  std::string_view source;
  std::string_view expected;
};

jinja::Dict Variables() {
  return jinja::FromJson(nlohmann::ordered_json::parse(R"({
      "n": 7, "word": "Grüße 你好", "d": {"b": 1, "A": [1, 2.5, true, null, "x'y"], "text": "a<b"},
      "items": [{"k": "b", "v": 2}, {"k": "a", "v": 1}, {"k": "B", "v": 3}], "tools": null})"))
      ->dict();
}

// Noon of 26 July 2024, a Friday.
std::tm Noon() {
  std::tm time{};
  time.tm_year = 124;
  time.tm_mon = 6;
  time.tm_mday = 26;
  time.tm_hour = 12;
  time.tm_wday = 5;
  time.tm_yday = 207;
  return time;
}

void CheckAll(std::span<const Case> cases) {
  const jinja::Dict variables = Variables();
  for (const Case& each : cases) {
    const auto parsed = JinjaTemplate::Parse(each.source);
    ASSERT_TRUE(parsed.ok()) << each.source << ": " << parsed.status();
    const auto output = parsed->Render(variables, {.now = Noon()});
    ASSERT_TRUE(output.ok()) << each.source << ": " << output.status();
    EXPECT_EQ(output->text, each.expected) << each.source;
  }
}

// clang-format off
TEST(JinjaPythonTest, Numbers) {
  const Case cases[] = {
      {R"({{ 7 / 2 }} {{ 6 / 3 }} {{ 7 // 2.0 }} {{ -7 // 2.0 }} {{ -7 % 3.0 }} {{ 7 % -3.5 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }})",
       R"(3.5 2.0 3.0 -4.0 2.0 -0.0 1024 0.5 64 4)"},
      {R"({{ 1.0 }} {{ 1e3 }} {{ 1e15 }} {{ 1e16 }} {{ 1.5e-7 }} {{ 0.0001 }} {{ 0.00001 }} {{ 0.1 + 0.2 }} {{ 123456789012345678.0 }} {{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ -0.0 }} {{ 1e400 }})",
       R"(1.0 1000.0 1000000000000000.0 1e+16 1.5e-07 0.0001 1e-05 0.30000000000000004 1.2345678901234568e+17 1000 31 5 15 -0.0 inf)"},
      {R"({{ 1 == 1.0 }} {{ 2 > 1.5 }} {{ true + 1 }} {{ true == 1 }} {{ 1 is sameas 1 }} {{ 2.0 is integer }} {{ 2.0 is float }} {{ true is number }} {{ true is integer }} {{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }})",
       R"(True True 2 True True False True True False True True True)"},
      {R"({{ 2.5 | round }} {{ 3.5 | round }} {{ 3.14159 | round(2) }} {{ 7 | round }} {{ 2.675 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ 2.19 | round(1, 'floor') }} {{ 15 | round(-1) }} {{ 1234.5 | round(-2) }})",
       R"(2.0 4.0 3.14 7 2.67 3.0 2.1 20 1200.0)"},
      {R"({{ '7' | int }} {{ ' 7 ' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ '3.9' | int }} {{ 3.9 | int }} {{ none | int }} {{ '1_0' | int }} {{ '0x1f' | int(base=16) }} {{ true | int }} {{ '-4' | int }})",
       R"(7 7 0 5 3 3 0 10 31 1 -4)"},
      {R"({{ '1.5' | float }} {{ 'x' | float }} {{ 3 | float }} {{ 'inf' | float }} {{ -3 | abs }} {{ -3.5 | abs }} {{ [1, 2.5] | sum }} {{ items | sum(attribute='v') }} {{ [[1], [2]] | sum(start=[]) }})",
       R"(1.5 0.0 3.0 inf 3 3.5 3.5 6 [1, 2])"},
      {R"({{ [3, 1, 2] | max }} {{ ['b', 'A'] | min }} {{ [] | max }}{{ items | map(attribute='v') | max }} {{ (items | max(attribute='v')).k }})",
       R"(3 A 3 B)"},
  };
  CheckAll(cases);
}

TEST(JinjaPythonTest, Printing) {
  const Case cases[] = {
      {R"({{ d }} {{ [1, 'a', none, true, 1.0] }} {{ (1,) }} {{ (1, 2) }} {{ () }} {{ [] }} {{ {} }} {{ d.items() }} {{ d.keys() }} {{ d.values() }})",
       R"({'b': 1, 'A': [1, 2.5, True, None, "x'y"], 'text': 'a<b'} [1, 'a', None, True, 1.0] (1,) (1, 2) () [] {} dict_items([('b', 1), ('A', [1, 2.5, True, None, "x'y"]), ('text', 'a<b')]) dict_keys(['b', 'A', 'text']) dict_values([1, [1, 2.5, True, None, "x'y"], 'a<b']))"},
      {R"({{ ["it's"] }} {{ ['a"b'] }} {{ ["a'b\"c"] }} {{ ['\n\t\\ \x00\x7f\u200b\u00e9\U0001F600'] }} {{ [missing] }} {{ ['x' | safe] }})",
       R"(["it's"] ['a"b'] ['a\'b"c'] ['\n\t\\ \x00\x7f\u200bé😀'] [Undefined] [Markup('x')])"},
      {R"({{ d | tojson }} {{ d | tojson(indent=2) }} {{ d | tojson(separators=(',', ':')) }} {{ d | tojson(sort_keys=true) }} {{ d | tojson(indent='-') }} {{ [] | tojson(indent=4) }} {{ {} | tojson(indent=0) }} {{ [1] | tojson(indent=0) }})",
       R"({"b": 1, "A": [1, 2.5, true, null, "x'y"], "text": "a<b"} {
  "b": 1,
  "A": [
    1,
    2.5,
    true,
    null,
    "x'y"
  ],
  "text": "a<b"
} {"b":1,"A":[1,2.5,true,null,"x'y"],"text":"a<b"} {"A": [1, 2.5, true, null, "x'y"], "b": 1, "text": "a<b"} {
-"b": 1,
-"A": [
--1,
--2.5,
--true,
--null,
--"x'y"
-],
-"text": "a<b"
} [] {} [
1
])"},
      {R"({{ 'é\u0001\u007f\u2028/<>&\'"' | tojson }} {{ 'é😀\x7f' | tojson(ensure_ascii=true) }} {{ (1, 2) | tojson }} {{ 1.0 | tojson }} {{ none | tojson }} {{ 1e100 | tojson }})",
       R"("é\u0001 /<>&'\"" "\u00e9\ud83d\ude00\u007f" [1, 2] 1.0 null 1e+100)"},
      {R"({{ none }} {{ true }} {{ missing }}| {{ none ~ 1 ~ 2.50 ~ [1] ~ missing ~ 'x' }} {{ 1, 2 }})",
       R"(None True | None12.5[1]x (1, 2))"},
  };
  CheckAll(cases);
}

TEST(JinjaPythonTest, Attributes) {
  const Case cases[] = {
      {R"({{ d.b }} {{ d['b'] }} {{ d.missing }}| {{ d['missing'] is defined }} {{ d.items is defined }} {{ d['items'] is defined }} {{ {'items': 3}['items'] }} {{ d.get('b') }} {{ d.get('x') }} {{ d.get('x', 4) }} {{ 'b' in d }} {{ d | length }})",
       R"(1 1 | False True True 3 1 None 4 True 3)"},
      {R"({{ 'abc'.x is defined }} {{ n.x is defined }} {{ none.x is defined }} {{ [1, 2].0 }} {{ [[1, 2], 3].0.1 }} {{ [1][5] is defined }} {{ 'abc'[1] }} {{ 'abc'[-1] }} {{ 'abc'['x'] is defined }} {{ {'a': 1}[1] is defined }})",
       R"(False False False 1 2 False b c False False)"},
      {R"({{ [].append is defined }} {{ d.update is defined }} {{ d.keys()[0] is defined }} {{ d.keys() | list }} {{ (d.items() | list)[0] }} {{ d.items() is sequence }} {{ d.items() is iterable }} {{ d.get is callable }})",
       R"(False False False ['b', 'A', 'text'] ('b', 1) False True True)"},
      {R"({{ word[1:3] }} {{ word[::-1] }} {{ word[-2:] }} {{ [1, 2, 3, 4][::2] }} {{ (1, 2, 3)[1:] }} {{ [1, 2, 3][5:] }} {{ [1, 2, 3][-100:2] }} {{ range(10)[2:4] | list }} {{ range(5)[1] }} {{ [1, 2, 3][::-1] }} {{ 'abcdef'[4:1:-2] }})",
       R"(rü 好你 eßürG 你好 [1, 3] (2, 3) [] [1, 2] [2, 3] 1 [3, 2, 1] ec)"},
  };
  CheckAll(cases);
}

TEST(JinjaPythonTest, Tests) {
  const Case cases[] = {
      {R"({{ 'a' is sequence }} {{ {} is sequence }} {{ missing is sequence }} {{ 3 is sequence }} {{ (1,) is sequence }} {{ range(3) is sequence }} {{ ([1] | map('upper')) is sequence }} {{ none is iterable }} {{ n is iterable }} {{ missing is iterable }})",
       R"(True True True False True True False False False True)"},
      {R"({{ d is mapping }} {{ 'a' is string }} {{ none is none }} {{ missing is none }} {{ missing is undefined }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ 0 is false }} {{ true is boolean }} {{ 'abc' is lower }} {{ 'ABC' is upper }} {{ 'x' is escaped }})",
       R"(True True True False True True False True False True True True False)"},
      {R"({{ 1 is eq 1 }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 2 is ge 2 }} {{ 2 is greaterthan 1 }} {{ 'a' is in ['a'] }} {{ 'a' is not in ['b'] }} {{ 1 is equalto 1 }} {{ namespace is callable }} {{ missing is callable }})",
       R"(True True True True True True True True True True)"},
      {R"({{ 'a' in 'abc' }} {{ 1 in (1, 2) }} {{ 1 in missing }} {{ 3 in range(5) }} {{ 'b' in d.keys() }} {{ none in [none] }} {{ [1] == [1] }} {{ [1] == (1,) }} {{ {'a': 1} == {'a': 1.0} }} {{ [1, 2] < [1, 3] }} {{ 'a' < 'b' }} {{ missing == none }} {{ missing == missing2 }} {{ 1 < 2 < 3 }} {{ 1 < 3 > 2 }})",
       R"(True True False True True True True False True True True False True True True)"},
      {R"({{ 'yes' if missing else 'no' }} {{ 'yes' if (items | selectattr('k')) else 'no' }} {{ 'x' if false }}| {{ not missing }} {{ 0.0 or 'zero' }} {{ '' or [] or 'last' }} {{ 1 and 2 }} {{ not 1 == 2 }})",
       R"(no yes | True zero last 2 True)"},
  };
  CheckAll(cases);
}

TEST(JinjaPythonTest, Sequences) {
  const Case cases[] = {
      {R"({{ items | map(attribute='k') | list }} {{ items | map(attribute='x', default='?') | join }} {{ ['a', 'b'] | map('upper') | join(',') }} {{ [[1, 2], [3]] | map('first') | list }} {{ ['ab'] | map('replace', 'a', 'x') | list }})",
       R"(['b', 'a', 'B'] ??? A,B [1, 3] ['xb'])"},
      {R"({{ items | selectattr('v', '>', 1) | map(attribute='k') | list }} {{ items | rejectattr('v', 'equalto', 1) | list | length }} {{ [1, none, 2] | select | list }} {{ [1, 2, 3] | select('odd') | list }} {{ [1, 2, 3] | reject('in', [2]) | list }} {{ items | selectattr('x', 'defined') | list }})",
       R"(['b', 'B'] 2 [1, 2] [1, 3] [1, 3] [])"},
      {R"({{ d | dictsort }} {{ d | dictsort(true) }} {{ {'b': 2, 'A': 1, 'c': 0} | dictsort(by='value') }} {{ {'b': 2, 'A': 1} | dictsort(reverse=true) }} {% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{{ v }}{% endfor %})",
       R"([('A', [1, 2.5, True, None, "x'y"]), ('b', 1), ('text', 'a<b')] [('A', [1, 2.5, True, None, "x'y"]), ('b', 1), ('text', 'a<b')] [('c', 0), ('A', 1), ('b', 2)] [('b', 2), ('A', 1)] a2b1)"},
      {R"({{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A', 'a'] | sort(case_sensitive=true) }} {{ [1, 3, 2] | sort(reverse=true) }} {{ items | sort(attribute='k') | map(attribute='v') | list }} {{ items | sort(attribute='k,v', reverse=true) | map(attribute='v') | list }})",
       R"([1, 2, 3] ['A', 'b', 'c'] ['A', 'a', 'b'] [3, 2, 1] [1, 2, 3] [3, 2, 1])"},
      {R"({{ [1, 2] | first }} {{ [] | first }}| {{ 'abc' | last }} {{ d | first }} {{ d | last }} {{ [1, 2] | reverse | list }} {{ 'abc' | reverse }} {{ ['a', 'A', 'b'] | unique | list }} {{ [1, 2, 3] | batch(2) | list }} {{ [1, 2, 3] | batch(2, 0) | list }})",
       R"(1 | c b text [2, 1] cba ['a', 'b'] [[1, 2], [3]] [[1, 2], [3, 0]])"},
      {R"({{ 'abc' | list }} {{ d | list }} {{ missing | list }} {{ d | items | list }} {{ missing | items | list }} {{ [1, 'a', none] | join(', ') }} {{ 'abc' | join('-') }} {{ missing | join }}| {{ items | join(',', attribute='k') }} {{ [1, 2] + [3] }} {{ [1] * 2 }} {{ 2 * 'ab' }} {{ (1,) + (2,) }})",
       R"(['a', 'b', 'c'] ['b', 'A', 'text'] [] [('b', 1), ('A', [1, 2.5, True, None, "x'y"]), ('text', 'a<b')] [] 1, a, None a-b-c | b,a,B [1, 2, 3] [1, 1] abab (1, 2))"},
      {R"({% set g = [1, 2] | map('string') %}{% for x in g %}{{ x }}{% endfor %}|{% for x in g %}{{ x }}{% endfor %})",
       R"(12|)"},
      {R"({{ [1, 2, 1].count(1) }} {{ [1, 2].index(2) }} {{ range(0) | list }} {{ range(5, 0, -2) | list }} {{ range(2, 5) | list }} {{ dict(a=1) }} {{ dict({'x': 1}, b=2) }} {{ namespace(a=1).a }} {{ namespace({'b': 2}).b }} {{ [0, 1] | length }} {{ 'äö' | count }})",
       R"(2 1 [] [5, 3, 1] [2, 3, 4] {'a': 1} {'x': 1, 'b': 2} 1 2 2 2)"},
  };
  CheckAll(cases);
}

TEST(JinjaPythonTest, Strings) {
  const Case cases[] = {
      {R"({{ 'hello world-foo (bar) it\'s' | title }} {{ "it's a dog".title() }} {{ 'ßtraße ǆ' | capitalize }} {{ 'HELLO' | capitalize }} {{ 'ǆabc' | capitalize }} {{ 'Straße' | upper }} {{ 'ΑΣ' | lower }} {{ 'aB' .swapcase() }})",
       R"(Hello World-Foo (Bar) It's It'S A Dog Sstraße ǆ Hello ǅabc STRASSE ας Ab)"},
      {R"({{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ ' a  b '.split() }} {{ ' a  b c '.split(none, 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a  b c '.rsplit(none, 1) }} {{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a\nb'.splitlines(true) }} {{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'a'.partition('x') }})",
       R"(['a', 'b', '', 'c'] ['a', 'b,c'] ['a', 'b'] ['a', 'b c '] ['a,b', 'c'] [' a  b', 'c'] ['a', 'b', 'c'] ['a\n', 'b'] ('a', '=', 'b=c') ('a=b', '=', 'c') ('a', '', ''))"},
      {R"({{ '  x '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abxba'.strip('ab') }}|{{ 'xax'.lstrip('x') }}|{{ 'xax'.rstrip('x') }}|{{ '\u3000x\x1f' | trim }}|{{ 'xxax' | trim('x') }}|{{ 5 | trim }})",
       R"(x|a|x|ax|xa|x|a|5)"},
      {R"({{ 'abc'.startswith('ab') }} {{ 'abc'.startswith(('x', 'a')) }} {{ 'abc'.endswith('bc') }} {{ 'abc'.startswith('b', 1) }} {{ 'abcabc'.find('c') }} {{ 'abcabc'.rfind('c') }} {{ 'abc'.find('x') }} {{ 'äbc'.find('b') }} {{ 'aXbX'.count('X') }} {{ 'abc'.index('b') }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }})",
       R"(True True True True 2 5 -1 1 2 1 bc ab)"},
      {R"({{ 'aXbX'.replace('X', '-') }} {{ 'aXbX'.replace('X', '-', 1) }} {{ 'abc' | replace('', '-') }} {{ 5 | replace('5', '6') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ '-'.join(['a', 'b']) }} {{ 'a'.center(4) }}| {{ 'a'.ljust(3, '.') }} {{ 'a'.rjust(3) }} {{ '-7'.zfill(4) }} {{ 'ab' | center(5) }}|)",
       R"(a-b- a-bX -a-b-c- 6 bba a-b  a  | a..   a -007   ab |)"},
      {R"({{ '12'.isdigit() }} {{ '²'.isdigit() }} {{ '²'.isdecimal() }} {{ 'aß'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' \t'.isspace() }} {{ ''.isspace() }} {{ 'Ab C'.istitle() }} {{ 'ab1'.islower() }} {{ '1'.islower() }} {{ 'AB'.isupper() }})",
       R"(True True False True True True False True True False True)"},
      {R"({{ ('<a>' | safe) + '<b>' }} {{ '<b>' + ('<a>' | safe) }} {{ ('<a>' | safe) ~ '<b>' }} {{ '<' | e }} {{ (('<a>' | safe) | trim) + '<' }} {{ (('<a>' | safe) | string) + '<' }} {{ (('<a>' | safe) | replace('a', 'b')) + '<' }} {{ ('<a>' | safe).split('a')[0] + '<' }} {{ ('<a>' | safe | upper) + '<' }} {{ d | tojson | safe }})",
       R"(<a>&lt;b&gt; &lt;b&gt;<a> <a><b> &lt; <a>&lt; <a>&lt; <b>< <&lt; <A>&lt; {"b": 1, "A": [1, 2.5, true, null, "x'y"], "text": "a<b"})"},
      {R"({{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent('>>', blank=true) }}|{{ 'a\n' | indent }}|)",
       R"(a
    b

    c|  a
  b|a
>>
>>b|a
|)"},
      {R"({{ missing | default('d') }} {{ '' | default('e') }}| {{ '' | default('e', true) }} {{ none | d('x') }} {{ none | d('x', boolean=true) }} {{ missing | upper }}| {{ missing | length }} {{ missing | string }}|)",
       R"(d | e None x | 0 |)"},
      {R"({{ 'one' 'two' }} {{ '\101\x41\u0041' }} {{ 'a\\b' }} {{ 'q\qz' }})",
       R"(onetwo AAA a\b q\qz)"},
  };
  CheckAll(cases);
}

TEST(JinjaPythonTest, Blocks) {
  const Case cases[] = {
      {R"({% macro f(a, b=2, c=a) %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(b=5, a=4) }}{{ f() }})",
       R"(1-2-1;1-3-1;4-5-4;-2-;)"},
      {R"({% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, x=4) }} {{ f(1) }})",
       R"(1(2, 3){'x': 4} 1(){})"},
      {R"({{ f is defined }}{% macro f() %}{{ g(1) }}{% endmacro %}{% macro g(x) %}<{{ x }}>{% endmacro %}{{ f() }}{{ f() | length }})",
       R"(False<1>3)"},
      {R"({% set x = 1 %}{% macro f() %}{{ x }}{% set x = 5 %}{{ x }}{% endmacro %}{% set x = 2 %}{{ f() }}{{ x }})",
       R"(252)"},
      {R"({% for x in [1, 2] %}{% macro m() %}[{{ x }}]{% endmacro %}{{ m() }}{% endfor %}{{ x is defined }})",
       R"([1][2]False)"},
      {R"({% macro f(x) %}[{{ caller(x) }}]{% endmacro %}{% call(y) f(3) %}<{{ y }}>{% endcall %}{% macro h() %}{{ caller() }}{% endmacro %}{% call h() %}{{ n }}{% endcall %})",
       R"([<3>]7)"},
      {R"({% macro fact(k) %}{% if k < 2 %}1{% else %}{{ k * (fact(k - 1) | int) }}{% endif %}{% endmacro %}{{ fact(10) }})",
       R"(3628800)"},
      {R"({% filter upper %}abc{{ n }}{% endfilter %} {% with a=1, b=n %}{{ a + b }}{% endwith %} {% set q | upper | replace('Q', 'R') %}q{{ n }}{% endset %}{{ q }} {% set (a, b) = (1, 2) %}{{ a }}{{ b }})",
       R"(ABC7 8 R7 12)"},
      {R"({% for x in [1, [2, [3]]] recursive %}{% if x is number %}{{ x }}@{{ loop.depth }}{% else %}({{ loop(x) }}){% endif %}{% endfor %})",
       R"(1@1(2@2(3@3)))"},
      {R"({% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %} {% for x in 'ab' %}{{ x }}{{ loop.index }}{{ loop.revindex }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('o', 'e') }}{{ loop.changed(x) }};{% endfor %})",
       R"(123 a12boTrue;b21aeTrue;)"},
      {R"({% for x in [1, 2, 3] if x != 2 %}{{ x }}{{ loop.last }}{% else %}none{% endfor %} {% for x in {} %}{% else %}{{ loop is defined }}{% endfor %} {% for x in missing %}x{% endfor %})",
       R"(1False3True False )"},
      {R"({% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }} {{ ns['n'] }} {{ ns.x is defined }}{% set ns.a, ns.b = 1, 2 %}{{ ns.b }})",
       R"(3 3 False2)"},
      {R"({% raw %}
 {{ x }} {% if %}
  {% endraw %}
y {%- raw -%}  {{x}} {%- endraw -%}  b)",
       R"(
 {{ x }} {% if %}
y{{x}}b)"},
      {R"(a
  {%+ if true %}b{% endif +%}
c
{%- if true -%}
 d 
{%- endif %}
e {#- x -#} f
  {# g #}
h)",
       R"(a
  b
cdef
h)"},
      {R"({{- ' a ' -}}
 b {{+ n }}

{% if n %}

  c
{% endif %}
)",
       R"( a b 7


  c
)"},
      {R"({{ strftime_now('%Y-%m-%d') }} {{ strftime_now('%d %b %Y') }} {{ strftime_now('%B %-d, %A %H:%M:%S %j') }}|{{ strftime_now('') }}|{{ strftime_now('%Z%z%f%%') }})",
       R"(2024-07-26 26 Jul 2024 July 26, Friday 12:00:00 208||000000%)"},
      {R"({% for x in [1, 2, 3, 4] %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %})",
       R"(13)"},
      {R"({% if tools %}t{% elif n == 7 %}seven{% else %}e{% endif %}{% set tools = tools or [1] %}{{ tools }}{% for x in [1] %}{% set tools = 2 %}{% endfor %}{{ tools }})",
       R"(seven[1][1])"},
  };
  CheckAll(cases);
}
// clang-format on

}  // namespace
}  // namespace ft::data
