"""What the made rows are filled with; large enough that rows of one pattern do not look alike."""

from __future__ import annotations

from random import Random
from typing import NamedTuple


class Words(NamedTuple):
    """Values for the slots of one language."""

    first: list[str]
    last: list[str]
    trait: list[str]
    thing: list[str]
    city: list[str]
    street: list[str]
    firm: list[str]
    sector: list[str]
    job: list[str]
    day: str
    number: str
    phone: str
    joint: str


def listed(words: str, between: str = " ") -> list[str]:
    return words.split(between)


ENGLISH = Words(
    first=listed(
        "Marta Oskar Priya Hamza Linnea Tobias Yuki Amara Declan Sofia Ravi Ingrid Mateo Zainab Felix Noemi Kwame "
        "Astrid Bruno Leila Piers Hana Viktor Oona"
    ),
    last=listed(
        "Kowal Brandt Iyer Farouk Lindqvist Adeyemi Tanaka Moreau Castellano Novak Whitfield Osei Petrov Haddad "
        "Sørensen Gallagher Mbeki Rossi Okafor Zielinski Duarte Halloran Weiss Nakamura"
    ),
    trait=listed(
        "green folding ceramic waterproof vintage cordless striped oversized wooden handmade silver padded "
        "compact rechargeable"
    ),
    thing=listed(
        "kettle|backpack|desk lamp|rain jacket|bookshelf|yoga mat|toaster|camera strap|headset|garden hose|tea set|"
        "office chair|umbrella|blanket|router|power drill|water bottle|board game|trench coat|mirror|sleeping bag|"
        "notebook|cutting board|alarm clock",
        "|",
    ),
    city=listed(
        "Lisbon Gdansk Leeds Osaka Nairobi Bergen Toledo Austin Perth Ghent Izmir Quito Dakar Tampere Bristol Zagreb "
        "Hanoi Denver Malmo Valencia"
    ),
    street=listed(
        "Harbour Road|Mill Lane|Station Street|Oak Avenue|Chapel Hill|Canal Walk|Queen Square|Orchard Close|"
        "Market Place|Bridge Street|Park Terrace|Foundry Yard",
        "|",
    ),
    firm=listed(
        "Norwick Bluehaven Tarragon Silverline Oakhurst Meridian Kestrel Lumen Copperfield Halcyon Brightwater "
        "Fennel Ironbark Solstice Quillon Windermere"
    ),
    sector=listed("Logistics|Foods|Textiles|Energy|Robotics|Publishing|Insurance|Shipping|Dental Care|Furniture", "|"),
    job=listed(
        "chief engineer|head of sales|finance director|lead designer|plant manager|chief economist|press officer|"
        "research director",
        "|",
    ),
    day="{} {}",
    number="{}",
    phone="555-{:04d}",
    joint=" ",
)

CHINESE = Words(
    first=listed(
        "雅婷 冠宇 淑芬 柏翰 怡君 承恩 美玲 志豪 詩涵 俊傑 佩珊 宗翰 "
        "欣怡 家豪 靜宜 建宏 心怡 品妤 文彬 秀娟 振宇 惠雯 哲瑋 思穎"
    ),
    last=listed("陳 林 黃 張 李 王 吳 劉 蔡 楊 許 鄭 謝 郭 洪 邱 曾 廖 賴 周 徐 蘇 葉 莊"),
    trait=listed("折疊式 無線 防水 復古 手工 加大款 不鏽鋼 實木 充電式 輕量 雙層 靜音"),
    thing=listed(
        "電熱水壺 登山背包 檯燈 雨衣 書櫃 瑜珈墊 烤麵包機 耳機 茶具組 辦公椅 "
        "雨傘 毛毯 路由器 電鑽 保溫瓶 桌遊 風衣 穿衣鏡 睡袋 "
        "筆記本 砧板 鬧鐘 行李箱 吹風機"
    ),
    city=listed("台北 新竹 台中 彰化 嘉義 台南 高雄 屏東 宜蘭 花蓮 台東 基隆 苗栗 南投 雲林 澎湖 金門 桃園"),
    street=listed("中山路 民生街 復興南路 文化一路 忠孝東路 公園路 和平街 光復路 建國北路 仁愛路 四維三路 博愛街"),
    firm=listed("晨曜 遠岫 青禾 瀚宇 松嵐 澄海 旭衡 禾豐 星澤 翠谷 凌雲 和碩川 嘉木 雲陽 玉澗 百川"),
    sector=listed("物流 食品 紡織 能源 機械 出版 保險 航運 生技 家具"),
    job=listed("總工程師 業務協理 財務長 首席設計師 廠長 經濟學家 發言人 研發處長"),
    day="{}月{}日",
    number="{}",
    phone="09{:02d}-{:03d}-{:03d}",
    joint="",
)

MONTHS = listed("January February March April May June July August September October November December")


def fill(words: Words, chance: Random) -> dict[str, str]:
    """A value for every slot."""
    chinese = not words.joint
    day = (chance.randint(1, 12), chance.randint(1, 28))
    digits = [chance.randint(0, 999) for _ in range(3)]
    last, first = chance.choice(words.last), chance.choice(words.first)
    return {
        "person": last + first if chinese else f"{first} {last}",
        "thing": chance.choice(words.trait) + words.joint + chance.choice(words.thing),
        "firm": chance.choice(words.firm) + words.joint + chance.choice(words.sector),
        "city": chance.choice(words.city),
        "place": f"{chance.choice(words.street)}{chance.randint(2, 480)}號"
        if chinese
        else f"{chance.randint(2, 480)} {chance.choice(words.street)}",
        "job": chance.choice(words.job),
        "day": words.day.format(*day) if chinese else words.day.format(day[1], MONTHS[day[0] - 1]),
        "order": f"{chance.choice('ABCDEFGH')}{chance.randint(10_000, 99_999)}",
        "amount": str(chance.randint(12, 4999)),
        "count": str(chance.randint(2, 60)),
        "phone": words.phone.format(digits[0] % 100, *digits[1:]) if chinese else words.phone.format(digits[0]),
    }
