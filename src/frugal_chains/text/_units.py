"""Units and scales that belong to the number before them, as patterns for a verbose expression.

SI and common other units by their symbols; names in English, German, French and Spanish; counters
of Chinese and Japanese. Collected by hand.
"""

from __future__ import annotations

SCALE = (
    r"(?:(?i:hundred|thousand|million|billion|trillion|millionen|milliarden|millones|millions"
    r"|milliards|mila|milioni|miljoen|tausend|mil|mille|lakh|crore|mn|bn)s?(?![A-Za-z])|Mio\.?"
    r"|Mrd\.?|Tsd\.?|[kKMBT](?![A-Za-z]))"
)

UNITS = (
    r"%|‰|°[CF]?|℃|℉|[$€£¥₹₽₩]|(?:[kKmcdnµμ]?m|in|ft|yd|mi|km|[kmµμ]?g|t|lb|lbs|oz|[mcd]?[lL]|gal"
    r"|[mµμn]?s|min|mins|h|hr|hrs|sec|secs|[kKMGTP]?i?[bB](?:ps|it/s|/s)?|[kMG]?Hz|[kMGm]?Wh?"
    r"|[mk]?V|mA|mAh|k?J|k?cal|[kMh]?Pa|bar|psi|px|pt|dpi|rpm|fps|mph|kph|dB|ppm|mol|mmol|k?N|x"
    r"|sqm|sq|acres?|ha)(?:/(?:h|s|min|m[²³]?|kg|g|L|l|d|day|hr|mL|dL|sec|year|month|token))?"
    r"[²³]?|(?i:percent|per[ ]cent|prozent|por[ ]ciento|pour[ ]cent|percentage[ ]points?|points?"
    r"|basis[ ]points?|bps|dollars?|cents?|euros?|pounds?|yen|yuan|rupees?|usd|eur|gbp|jpy|chf|cny"
    r"|inr|btc|eth|seconds?|minutes?|hours?|days?|nights?|weeks?|months?|years?|decades?"
    r"|sekunden?|minuten?|stunden?|tage?n?|wochen?|monate?n?|jahre?n?|secondes?|heures?|jours?"
    r"|semaines?|mois|ans?|années?|segundos?|minutos?|horas?|d[ií]as?|semanas?|mes(?:es)?|años?"
    r"|tokens?|words?|pages?|bytes?|people|persons?|times|met(?:er|re)s?|kilomet(?:er|re)s?"
    r"|miles?|feet|foot|inch(?:es)?|grams?|kilos?|kilograms?|tons?|tonnes?|lit(?:er|re)s?|gallons?"
    r"|degrees?|celsius|fahrenheit|volts?|watts?|amps?|units?|items?|users?|rows?|lines?)"
)

CJK_UNIT = (
    r"(?:[十百千万亿億兆]{0,4}+(?:公里|公斤|公分|厘米|毫米|千米|平方米|美元|欧元|日元|人民币|小时|分钟"
    r"|分間|時間|ヶ月|か月|カ月|个月|週間|年間|円|元|人|名|个|個|件|年|月|日|天|次|回|歳|岁|秒|分|本|台"
    r"|枚|％|%|度|米|克|吨)|[十百千万亿億兆]{1,4}+)"
)
