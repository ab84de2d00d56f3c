"""What customers write: how messages begin, and what is asked under each of twelve labels."""

from __future__ import annotations

from collections.abc import Mapping

OPENINGS = {
    "en": [
        "I ordered the {thing} on {day} under {order}.",
        "This is {person} from {city}, order {order}.",
        "Hello, about the {thing} for {amount} dollars:",
        "We bought {count} pieces of the {thing} for {firm} in {day} week.",
        "{person} here, I moved to {place} in {city} since.",
        "Regarding {order} of {day}.",
        "My colleague at {firm} told me to write to you about the {thing}.",
        "Second message since {day}, reference {order}.",
    ],
    "zh": [
        "我在{day}訂了{thing}，訂單{order}。",
        "你好，我是{city}的{person}，單號{order}。",
        "想問一下{amount}元的{thing}，",
        "我們{firm}一次買了{count}個{thing}，",
        "敝姓{person}，已經搬到{city}{place}。",
        "關於{day}的訂單{order}，",
        "{firm}的同事要我來問{thing}的事。",
        "從{day}到現在第二次留言，編號{order}。",
    ],
}

INTENTS: Mapping[str, Mapping[str, list[str]]] = {
    "en": {
        "track_parcel": [
            "Where is the parcel right now?",
            "The tracking page has shown {city} for days, is it moving?",
            "Can you tell me which depot holds it?",
        ],
        "late_delivery": [
            "It was promised for {day} and nothing has come.",
            "The courier is {count} days behind, what happened?",
            "Why does this shipment take longer than announced?",
        ],
        "refund_request": [
            "Send the {amount} dollars back to my card.",
            "I want my money returned for this purchase.",
            "Kindly reimburse the full price.",
        ],
        "exchange_item": [
            "Could I swap it for the {thing}?",
            "I need another size instead of this one.",
            "Let me trade it against a different colour.",
        ],
        "damaged_item": [
            "It arrived broken, the corner is cracked.",
            "The box was crushed and the content leaks.",
            "There is a deep scratch across the front.",
        ],
        "cancel_order": [
            "Stop the order before it ships.",
            "I changed my mind and no longer want it.",
            "Call the purchase off, it was a mistake.",
        ],
        "change_address": [
            "Deliver it to {place}, {city} instead.",
            "The street on the label should read {place}.",
            "Update where I live before dispatch.",
        ],
        "invoice_needed": [
            "Our accountant at {firm} wants a tax receipt.",
            "Issue the bill with the company name {firm}.",
            "I never got the paper for bookkeeping.",
        ],
        "payment_failed": [
            "My card was declined although there is credit.",
            "Checkout shows an error after I enter the code.",
            "The bank says {amount} dollars never left my account.",
        ],
        "discount_code": [
            "The voucher from {day} does not lower the price.",
            "Is there a coupon for {count} pieces?",
            "My promotion got refused at the till.",
        ],
        "account_login": [
            "The password reset mail never arrives.",
            "I am locked out after too many attempts.",
            "How do I sign in with the new phone {phone}?",
        ],
        "product_question": [
            "Does it fit a shelf of {count} centimetres?",
            "Which material is it made of?",
            "Is the battery included, and how long does it last?",
        ],
    },
    "zh": {
        "查詢物流": ["現在貨到哪裡了？", "物流頁面一直停在{city}，有在動嗎？", "請問卡在哪個轉運站？"],
        "延遲到貨": ["說好{day}到，到今天都沒收到。", "已經晚了{count}天，怎麼回事？", "為什麼比公告的時間還久？"],
        "申請退款": ["請把{amount}元退回信用卡。", "這筆錢我要拿回來。", "麻煩全額退費。"],
        "更換商品": ["可以換成{thing}嗎？", "尺寸不合，想換大一號。", "想改成別的顏色。"],
        "商品損壞": ["收到時已經裂開了。", "紙箱被壓扁，裡面漏水。", "正面有一道很深的刮痕。"],
        "取消訂單": ["還沒出貨的話請幫我取消。", "我改變主意，不買了。", "下錯單，請作廢。"],
        "更改地址": ["請改送{city}{place}。", "門牌應該是{place}，寫錯了。", "出貨前幫我更新住址。"],
        "開立發票": ["會計要統一編號的發票。", "抬頭請開{firm}。", "報帳用的單據一直沒寄來。"],
        "付款失敗": ["卡片額度夠，卻一直被拒絕。", "輸入驗證碼之後就跳錯誤。", "銀行說{amount}元根本沒扣。"],
        "折扣優惠": ["{day}拿到的折價券不能用。", "買{count}個有沒有優惠？", "結帳時促銷沒有算進去。"],
        "帳號登入": ["重設密碼的信一直收不到。", "試太多次被鎖住了。", "換了手機{phone}，要怎麼登入？"],
        "商品諮詢": ["放得進{count}公分的層架嗎？", "是什麼材質做的？", "有附電池嗎，可以用多久？"],
    },
}
